//! TLS of `https://` endpoints: which authorities are trusted, which certificate is shown, and what a failed handshake means.
//! Knows no RPC.

use std::{error::Error as StdError, io, path::PathBuf, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, AlertDescription, CertificateError, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};
use tonic::Status;

/// The files that TLS needs beyond the system's. All three may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// What is missing comes from elsewhere; certificate and key stay together.
    pub(crate) fn or(self, other: Self) -> Self {
        let own = self.cert.is_some() || self.key.is_some();
        let (cert, key) = if own { (self.cert, self.key) } else { (other.cert, other.key) };
        Self { ca: self.ca.or(other.ca), cert, key }
    }
}

/// Why TLS cannot be spoken with what was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{} holds no {what} in PEM form", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A certificate without its key, or a key without its certificate.
    #[error("a client certificate needs its key too: give both --tls-cert and --tls-key")]
    Half,
    /// Certificate and key do not belong together, or cannot be used.
    #[error("the client certificate {} cannot be used with its key", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// What rustls says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The system names no authority.
    #[error("this system has no certificate authorities; name one with --tls-ca")]
    NoRoots,
    /// The name cannot be in a certificate.
    #[error("`{0}` is no name that a certificate could have")]
    BadName(String),
}

/// Makes connections to one server.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    host: String,
    port: u16,
}

fn read(path: &PathBuf) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.clone(), source })
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let not_pem = || TlsError::NotPem { path: path.clone(), what: "certificate" };
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<_, _>>().map_err(|_| not_pem())?;
    if found.is_empty() { Err(not_pem()) } else { Ok(found) }
}

impl Connector {
    /// Reads the files. With an authority of one's own the system's are not trusted.
    pub(crate) fn new(files: &TlsFiles, host: &str, port: u16) -> Result<Self, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::BadName(host.to_owned()))?;
        let mut roots = RootCertStore::empty();
        match &files.ca {
            Some(path) => {
                for authority in certificates(path)? {
                    let not_pem =
                        |_| TlsError::NotPem { path: path.clone(), what: "authority's certificate" };
                    roots.add(authority).map_err(not_pem)?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(TlsError::NoRoots);
                }
            }
        }
        // TLS 1.2 and 1.3.
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has suites for both")
            .with_root_certificates(roots);
        let mut config = match (&files.cert, &files.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => {
                let chain = certificates(cert)?;
                let private = PrivateKeyDer::from_pem_slice(&read(key)?)
                    .map_err(|_| TlsError::NotPem { path: key.clone(), what: "private key" })?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|source| TlsError::Unusable { path: cert.clone(), source: source.into() })?
            }
            _ => return Err(TlsError::Half),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { config: Arc::new(config), name, host: host.to_owned(), port })
    }

    /// One connection, handshake included.
    pub(crate) async fn connect(self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(self.config).connect(self.name, stream).await
    }
}

/// What TLS has against a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The other side speaks TLS, this one does not.
    Required,
    /// This side speaks TLS, the other does not.
    NotSpoken,
    /// The server's certificate; why it is not trusted.
    Untrusted(String),
    /// The server wants a certificate and was shown none.
    CertificateWanted,
    /// The server was shown one that it does not take; the alert's name.
    CertificateRefused(String),
    /// Something else.
    Failed(String),
}

/// What a failed call says of TLS; `None` where TLS is not what failed.
pub(crate) fn problem(status: &Status) -> Option<Problem> {
    let mut source = status.source();
    while let Some(error) = source {
        if let Some(error) = rustls_error(error) {
            return of_rustls(error);
        }
        if let Some(problem) = of_words(&error.to_string()) {
            return Some(problem);
        }
        source = error.source();
    }
    None
}

/// An I/O error shows what it wraps to those who ask, not as its source.
fn rustls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref::<rustls::Error>().or_else(|| {
        error.downcast_ref::<io::Error>().and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref())
    })
}

fn of_rustls(error: &rustls::Error) -> Option<Problem> {
    Some(match error {
        rustls::Error::InvalidCertificate(why) => Problem::Untrusted(untrusted(why)),
        rustls::Error::InvalidMessage(_) => Problem::NotSpoken,
        rustls::Error::AlertReceived(alert) => of_alert(*alert),
        other => Problem::Failed(other.to_string()),
    })
}

fn untrusted(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => "it is of an authority that is not trusted here".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is of another name".to_owned()
        }
        other => other.to_string(),
    }
}

fn of_alert(alert: AlertDescription) -> Problem {
    match alert {
        AlertDescription::CertificateRequired => Problem::CertificateWanted,
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => Problem::CertificateRefused(format!("{alert:?}")),
        other => Problem::Failed(format!("the server ended the handshake: {other:?}")),
    }
}

/// HTTP/2 keeps only the words of what ended its connection. In TLS 1.3 that may be the server's judgement of our
/// certificate, which comes after the handshake.
fn of_words(text: &str) -> Option<Problem> {
    // h2's for INADEQUATE_SECURITY, which our server answers to those who speak no TLS.
    if text.contains("security properties do not meet minimum requirements") {
        return Some(Problem::Required);
    }
    let (_, alert) = text.split_once("received fatal alert: ")?;
    let is = |name: &AlertDescription| alert.starts_with(&format!("{name:?}"));
    let known = [
        AlertDescription::CertificateRequired,
        AlertDescription::BadCertificate,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateUnknown,
        AlertDescription::UnknownCA,
        AlertDescription::AccessDenied,
        AlertDescription::DecryptError,
    ];
    known.into_iter().find(is).map(of_alert).or_else(|| Some(Problem::Failed(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_io(error: rustls::Error) -> Option<Problem> {
        let io = io::Error::new(io::ErrorKind::InvalidData, error);
        problem(&Status::from_error(Box::new(tonic::ConnectError(Box::new(io)))))
    }

    #[test]
    fn a_failed_handshake_says_whose_certificate_it_was() {
        use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
        let certificate = |why| of_io(InvalidCertificate(why));
        for (why, words) in [
            (CertificateError::UnknownIssuer, "authority"),
            (CertificateError::Expired, "expired"),
            (CertificateError::NotValidYet, "not valid yet"),
            (CertificateError::NotValidForName, "another name"),
        ] {
            let Some(Problem::Untrusted(text)) = certificate(why) else { panic!("{words}") };
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(
            of_io(AlertReceived(AlertDescription::CertificateRequired)),
            Some(Problem::CertificateWanted)
        );
        let refused = of_io(AlertReceived(AlertDescription::UnknownCA));
        assert_eq!(refused, Some(Problem::CertificateRefused("UnknownCA".into())));
        assert_eq!(
            of_io(InvalidMessage(rustls::InvalidMessage::InvalidContentType)),
            Some(Problem::NotSpoken)
        );
        assert!(matches!(of_io(AlertReceived(AlertDescription::ProtocolVersion)), Some(Problem::Failed(_))));
    }

    #[test]
    fn words_of_a_connection_that_ended_later_are_understood() {
        for (words, problem) in [
            ("received fatal alert: CertificateRequired", Some(Problem::CertificateWanted)),
            ("received fatal alert: UnknownCA", Some(Problem::CertificateRefused("UnknownCA".into()))),
            (
                "connection error received: security properties do not meet minimum requirements",
                Some(Problem::Required),
            ),
            ("connection reset by peer", None),
        ] {
            assert_eq!(of_words(words), problem, "{words}");
        }
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let dir = tempfile::tempdir().expect("tempdir");
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "nothing").expect("write");
        let missing = dir.path().join("missing.pem");
        let wrong = |files: TlsFiles| {
            let Err(error) = Connector::new(&files, "localhost", 1) else { panic!("{files:?}") };
            error.to_string()
        };
        assert!(wrong(TlsFiles { ca: Some(missing), ..Default::default() }).contains("missing.pem"));
        assert!(wrong(TlsFiles { ca: Some(empty), ..Default::default() }).contains("no certificate"));
    }
}
