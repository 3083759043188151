//! The files that TLS is spoken with, and how long their certificate is good.

use std::time::{Duration, SystemTime};

use super::{run::Subject, verdict::Found};
use crate::{
    backend::chain,
    config::Listen,
    tls::{TlsFiles, Validity},
};

/// Who renews certificates by hand wants to know by then.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

pub(super) fn check(subject: &Subject) -> Found {
    let config = &subject.config;
    let plain = |listen: &Listen| matches!(listen, Listen::Unix(_) | Listen::Tcp(_));
    if config.listen.iter().all(plain) {
        return Found::skipped("no https endpoint is configured");
    }
    match config.tls.files() {
        Some(files) => of(&files, SystemTime::now()),
        None => Found::problem("an https endpoint has no certificate", "set `tls.cert` and `tls.key`"),
    }
}

fn of(files: &TlsFiles, now: SystemTime) -> Found {
    let shown = files.cert.display();
    let day = |time: SystemTime| humantime::format_rfc3339_seconds(time).to_string();
    const RENEW: &str = "renew it; a changed file is served within a second, without a restart";
    let found = match (files.validity(now), files.validity(now + SOON)) {
        (Err(error), _) | (_, Err(error)) => Found::problem(
            format!("{}; new connections are served with what was there before, if there was", chain(&error)),
            "put good files in their place; no restart is needed",
        ),
        (Ok(Some(Validity::Ended(end))), _) => Found::problem(
            format!("the certificate {shown} ended on {}: no client takes it", day(end)),
            RENEW,
        ),
        (Ok(Some(Validity::Early)), _) => Found::problem(
            format!("the certificate {shown} is not good yet"),
            "see `clock`, or use the one before until then",
        ),
        (_, Ok(Some(Validity::Ended(end)))) => {
            Found::warning(format!("the certificate {shown} ends on {}", day(end)), RENEW)
        }
        _ => Found::ok(format!("{shown} and its key can be used, for two weeks at least")),
    };
    match &files.client_ca {
        Some(authorities) => found.with("client_ca", authorities.display()),
        None => found,
    }
}
