//! How long a certificate is good. Asked of the verifier that clients use too, so that no other parser is needed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio_rustls::rustls::{
    CertificateError, Error, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// Whether a certificate is good at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    /// It is.
    Good,
    /// It ended then.
    Ended(SystemTime),
    /// It has not begun.
    Early,
}

/// Whether a certificate is good at a time, by its dates alone. `None` where it cannot be read.
pub(super) fn of(certificate: &CertificateDer<'static>, at: SystemTime) -> Option<Validity> {
    let mut roots = RootCertStore::empty();
    // Its own anchor: dates are looked at before anything else of it.
    roots.add(certificate.clone()).ok()?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    let at = UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH).ok()?);
    Some(match verifier.verify_server_cert(certificate, &[], &name, &[], at) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Validity::Ended(UNIX_EPOCH + Duration::from_secs(not_after.as_secs()))
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { .. })) => Validity::Early,
        _ => Validity::Good,
    })
}
