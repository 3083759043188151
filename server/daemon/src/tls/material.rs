//! What TLS is spoken with: made of files, made anew when their content changes. New connections get the new one, old ones
//! keep theirs; files that cannot be used change nothing, and a warning says so.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::{
    self, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};

use super::validity::{self, Validity};

/// How often the files are looked at while connections come.
const LOOK: Duration = Duration::from_secs(1);

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those between it and its authority, PEM.
    pub cert: PathBuf,
    /// The certificate's private key, PEM.
    pub key: PathBuf,
    /// The authorities of client certificates, PEM; with them every client must show one.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// Whether TLS can be spoken with the files as they are now, and whether their certificate will be good at a time.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn validity(&self, at: SystemTime) -> Result<Option<Validity>, TlsError> {
        let content = Content::read(self)?;
        content.config(self)?;
        let chain = certificates("tls.cert", &self.cert, &content.cert)?;
        Ok(chain.first().and_then(|certificate| validity::of(certificate, at)))
    }
}

/// Files that TLS cannot be spoken with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One cannot be read.
    #[error("{setting} {path} cannot be read")]
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// One holds something else than it should.
    #[error("{setting} {path} is not usable: {what}")]
    NotPem {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Others can read the private key.
    #[error("tls.key {path} can be read by every user (mode {mode:o}); run: chmod 600 {path}")]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Certificate and key are not usable together.
    #[error("tls.cert {cert} and tls.key {key} cannot be used together")]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        #[source]
        source: rustls::Error,
    },
    /// The authorities are no authorities.
    #[error("tls.client_ca {path} cannot be used")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        #[source]
        source: VerifierBuilderError,
    },
}

/// The certificates of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: TlsFiles,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    /// Digest of the content that was last tried, good or not.
    tried: Tried,
    looked: Instant,
}

type Tried = Result<[u8; 32], String>;

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let content = Content::read(&files)?;
        let config = content.config(&files)?;
        let state = State { config, tried: Ok(content.digest()), looked: Instant::now() };
        Ok(Self(Arc::new(Inner { files, state: Mutex::new(state) })))
    }

    /// Whether clients must show a certificate.
    pub fn wants_client_certificates(&self) -> bool {
        self.0.files.client_ca.is_some()
    }

    /// What a new connection is served with. At most once a second the files are looked at; they are small.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK {
            self.look(&mut state);
            state.looked = Instant::now();
        }
        Arc::clone(&state.config)
    }

    fn look(&self, state: &mut State) {
        let files = &self.0.files;
        let (tried, made) = match Content::read(files) {
            Ok(content) => (Ok(content.digest()), content.config(files)),
            Err(error) => (Err(error.to_string()), Err(error)),
        };
        if tried == state.tried {
            return;
        }
        state.tried = tried;
        match made {
            Ok(config) => {
                state.config = config;
                tracing::info!(cert = %files.cert.display(), "certificate read again; new connections get it");
            }
            Err(error) => {
                let error = crate::backend::chain(&error);
                tracing::warn!(error, "changed TLS files cannot be used; the ones before stay in use");
            }
        }
    }
}

/// What is in the files.
struct Content {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { setting, path: path.to_owned(), source })
}

fn certificates(
    setting: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |what: String| TlsError::NotPem { setting, path: path.to_owned(), what };
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, pem::Error>>()
        .map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("it holds no certificate in PEM form".to_owned())) } else { Ok(found) }
}

impl Content {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        refuse_open(&files.key)?;
        Ok(Self {
            cert: read("tls.cert", &files.cert)?,
            key: read("tls.key", &files.key)?,
            client_ca: files.client_ca.as_deref().map(|path| read("tls.client_ca", path)).transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in [&self.cert, &self.key, self.client_ca.as_deref().unwrap_or_default()] as [&[u8]; 3] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    fn config(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates("tls.cert", &files.cert, &self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError::NotPem {
            setting: "tls.key",
            path: files.key.clone(),
            what: match error {
                pem::Error::NoItemsFound => "it holds no private key in PEM form".to_owned(),
                other => other.to_string(),
            },
        })?;
        let mismatch =
            |source| TlsError::Mismatch { cert: files.cert.clone(), key: files.key.clone(), source };
        let provider = Arc::new(ring::default_provider());
        // TLS 1.2 and 1.3.
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(mismatch)?;
        let builder = match (&files.client_ca, &self.client_ca) {
            (Some(path), Some(content)) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates("tls.client_ca", path, content)? {
                    roots.add(authority).map_err(|error| TlsError::NotPem {
                        setting: "tls.client_ca",
                        path: path.clone(),
                        what: error.to_string(),
                    })?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let unusable = |source| TlsError::Authorities { path: path.clone(), source };
                builder.with_client_cert_verifier(verifier.map_err(unusable)?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(mismatch)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

/// A key that everybody can read is no secret. A group may read it: that is how certificates are often shared.
fn refuse_open(path: &Path) -> Result<(), TlsError> {
    use std::os::unix::fs::MetadataExt as _;
    match fs::metadata(path) {
        Ok(meta) if meta.mode() & 0o007 != 0 => {
            Err(TlsError::Readable { path: path.to_owned(), mode: meta.mode() & 0o777 })
        }
        // Reading it says what is wrong.
        _ => Ok(()),
    }
}
