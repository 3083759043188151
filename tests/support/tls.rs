//! Certificates of a test, and channels that speak TLS. Each test makes its own authority; nothing is trusted beyond it.

use std::{
    error::Error,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};
use tonic::transport::{Channel, Endpoint};

/// Who signs.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, PEM.
    pub pem: String,
}

/// A certificate and its key, PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// Never: no input is used.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("good names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Pair { cert, key: key.serialize_pem() }
    }

    /// For a server on this machine.
    #[must_use]
    pub fn server(&self) -> Pair {
        self.sign(&["localhost", "127.0.0.1"], |_| {})
    }

    /// For a server of another name.
    #[must_use]
    pub fn server_elsewhere(&self) -> Pair {
        self.sign(&["elsewhere.invalid"], |_| {})
    }

    /// One that is good for so long from now.
    #[must_use]
    pub fn server_for(&self, span: Duration) -> Pair {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
        self.sign(&["localhost", "127.0.0.1"], |params| {
            params.not_after = date_time_ymd(1970, 1, 1) + now + span;
        })
    }

    /// One that was good until 2021.
    #[must_use]
    pub fn expired(&self) -> Pair {
        self.sign(&["localhost", "127.0.0.1"], |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }
}

impl Pair {
    /// Writes `NAME.pem` and `NAME.key` (0600) and returns their paths.
    ///
    /// # Panics
    /// When the directory is not ours.
    pub fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (cert, key) = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
        fs::write(&cert, &self.cert).expect("our own directory");
        fs::write(&key, &self.key).expect("our own directory");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("our own file");
        (cert, key)
    }
}

/// Connects to `https://127.0.0.1:PORT`, trusting this authority alone.
///
/// # Errors
/// What the handshake says.
///
/// # Panics
/// When what is given is no endpoint or no PEM.
pub async fn connect(
    endpoint: &str,
    authority: &str,
    own: Option<&Pair>,
) -> Result<Channel, Box<dyn Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).expect("PEM"))?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(pair) => builder.with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).expect("PEM")],
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM"),
        )?,
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let address = endpoint.strip_prefix("https://").expect("an https endpoint").to_owned();
    let origin = format!("http://{address}");
    let channel = Endpoint::from_shared(origin)?
        .connect_with_connector(tower::service_fn(move |_| {
            let (connector, address) = (connector.clone(), address.clone());
            async move {
                let stream = TcpStream::connect(address).await?;
                let name = ServerName::try_from("localhost").expect("a name");
                connector.connect(name, stream).await.map(TokioIo::new)
            }
        }))
        .await?;
    Ok(channel)
}
