//! Who was sent away: counted by reason in the figures, logged a few at a time, never with a secret.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::telemetry::Figures;

/// How many refusals of a reason are logged in [`WINDOW`]; the others are counted, and their number is logged with the next.
const LOGGED: u64 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// A path is the caller's own text.
const RPC_BYTES: usize = 120;

/// Why somebody was sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Refusal {
    /// No token was given.
    NoToken,
    /// What was given is no token.
    WrongToken,
    /// A token that was revoked, also in the midst of a stream.
    RevokedToken,
    /// A token that has expired, also in the midst of a stream.
    ExpiredToken,
    /// A token whose scope is too narrow.
    ScopeTooNarrow,
    /// Another user, at the Unix socket.
    OtherUser,
    /// A TLS handshake that failed.
    TlsHandshake,
    /// No TLS, where TLS is spoken.
    PlainText,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::NoToken,
        Self::WrongToken,
        Self::RevokedToken,
        Self::ExpiredToken,
        Self::ScopeTooNarrow,
        Self::OtherUser,
        Self::TlsHandshake,
        Self::PlainText,
    ];

    /// Its name in logs and figures.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::WrongToken => "wrong_token",
            Self::RevokedToken => "revoked_token",
            Self::ExpiredToken => "expired_token",
            Self::ScopeTooNarrow => "scope_too_narrow",
            Self::OtherUser => "other_user",
            Self::TlsHandshake => "tls_handshake",
            Self::PlainText => "plain_text",
        }
    }
}

/// The refusals of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Refusals {
    figures: Figures,
    /// Each reason has its own: noise of one kind hides nothing of another.
    log: Arc<Mutex<[Window; Refusal::ALL.len()]>>,
}

/// What was logged lately.
#[derive(Debug, Default)]
struct Window {
    begun: Option<Instant>,
    logged: u64,
    left_out: u64,
}

impl Window {
    /// Whether one more is logged, and how many were not before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.begun.is_none_or(|begun| now.duration_since(begun) >= WINDOW) {
            (self.begun, self.logged) = (Some(now), 0);
        }
        if self.logged >= LOGGED {
            self.left_out += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Refusals {
    /// None yet.
    pub(crate) fn new(figures: Figures) -> Self {
        Self { figures, log: Arc::default() }
    }

    /// Counts one, and logs it unless there were many just now. `token` is a token's name, `detail` what the reason alone
    /// does not say.
    pub(crate) fn note(
        &self,
        why: Refusal,
        peer: &dyn fmt::Display,
        rpc: &str,
        token: Option<&str>,
        detail: Option<&dyn fmt::Display>,
    ) {
        self.figures.sent_away(why);
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = log[why as usize].take(Instant::now());
        drop(log);
        let Some(left_out) = taken else { return };
        let mut end = rpc.len().min(RPC_BYTES);
        while !rpc.is_char_boundary(end) {
            end -= 1;
        }
        let rpc = Some(&rpc[..end]).filter(|rpc| !rpc.is_empty());
        tracing::warn!(
            reason = why.as_str(),
            %peer,
            rpc,
            token.name = token,
            detail = detail.map(tracing::field::display),
            not_logged_before = (left_out > 0).then_some(left_out),
            "call refused"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_refusals_are_counted_and_logged_a_few_at_a_time() {
        let (mut window, begin) = (Window::default(), Instant::now());
        let logged = (0..100).filter(|_| window.take(begin).is_some()).count();
        assert_eq!(logged as u64, LOGGED);
        assert_eq!(window.take(begin + WINDOW), Some(100 - LOGGED), "the next says how many were left out");
        assert_eq!(window.take(begin + WINDOW), Some(0));

        let figures = Figures::new(1, 1);
        let refusals = Refusals::new(figures.clone());
        for _ in 0..100 {
            refusals.note(Refusal::WrongToken, &"peer", "/é".repeat(100).as_str(), None, None);
        }
        refusals.note(Refusal::OtherUser, &"peer", "", Some("ci"), Some(&"words"));
        assert_eq!(Refusal::ALL.map(|why| figures.were_sent_away(why)), [0, 100, 0, 0, 0, 1, 0, 0]);
        let log = refusals.log.lock().unwrap();
        assert_eq!(log[Refusal::OtherUser as usize].logged, 1, "what is rare is logged beside what is not");
    }
}
