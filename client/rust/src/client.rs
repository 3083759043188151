//! The handle and how it is made. The calls themselves are in `calls`.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use secrecy::SecretString;
use tonic::{service::interceptor::InterceptedService, transport::Channel};

use crate::{
    Endpoint, EndpointError, Environment, Error, TokenError, environment,
    tls::{Connector, TlsFiles},
    transport::{self, Authorization, MESSAGE_LIMIT_BYTES},
    v1::{
        conversation_service_client::ConversationServiceClient,
        diagnostics_service_client::DiagnosticsServiceClient, instance_service_client::InstanceServiceClient,
        module_service_client::ModuleServiceClient, token_service_client::TokenServiceClient,
    },
};

pub(crate) type Service = InterceptedService<Channel, Authorization>;

/// A client of one server. Cheap to clone; clones share one connection, which is made by the first call and made again
/// after it broke.
///
/// The connection's task lives on the tokio runtime of the first call.
///
/// ```
/// use claude_comms_client::Client;
///
/// let client = Client::builder().endpoint("unix:/run/user/1000/claude-comms/claude-comms.sock").build()?;
/// assert_eq!(client.endpoint().to_string(), "unix:/run/user/1000/claude-comms/claude-comms.sock");
/// # Ok::<(), claude_comms_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    authorization: Authorization,
    has_token: bool,
    tls: Option<Connector>,
    reconnect_timeout: Duration,
    channel: OnceLock<Channel>,
}

impl Client {
    /// A client of the server that the environment names; the same discovery as the command line's.
    ///
    /// # Errors
    /// [`Error::Endpoint`] and [`Error::Token`]: what the environment names cannot be used. Whether a server is there
    /// shows at the first call.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// A client that differs from [`Client::from_env`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where the server is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    /// Whether calls carry a token.
    pub fn has_token(&self) -> bool {
        self.inner.has_token
    }

    /// How long a stream or a wait that was under way goes on without a server.
    pub fn reconnect_timeout(&self) -> Duration {
        self.inner.reconnect_timeout
    }

    fn service(&self) -> Service {
        let channel = self
            .inner
            .channel
            .get_or_init(|| transport::channel(&self.inner.endpoint, self.inner.tls.as_ref()))
            .clone();
        InterceptedService::new(channel, self.inner.authorization.clone())
    }

    pub(crate) fn conversations(&self) -> ConversationServiceClient<Service> {
        ConversationServiceClient::new(self.service()).max_decoding_message_size(MESSAGE_LIMIT_BYTES)
    }

    pub(crate) fn instances(&self) -> InstanceServiceClient<Service> {
        InstanceServiceClient::new(self.service()).max_decoding_message_size(MESSAGE_LIMIT_BYTES)
    }

    pub(crate) fn modules(&self) -> ModuleServiceClient<Service> {
        ModuleServiceClient::new(self.service()).max_decoding_message_size(MESSAGE_LIMIT_BYTES)
    }

    pub(crate) fn tokens(&self) -> TokenServiceClient<Service> {
        TokenServiceClient::new(self.service()).max_decoding_message_size(MESSAGE_LIMIT_BYTES)
    }

    pub(crate) fn diagnostics(&self) -> DiagnosticsServiceClient<Service> {
        DiagnosticsServiceClient::new(self.service()).max_decoding_message_size(MESSAGE_LIMIT_BYTES)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.inner.endpoint).finish_non_exhaustive()
    }
}

/// What a [`Client`] is made of. What is not given comes from the environment.
#[derive(Debug)]
pub struct Builder {
    endpoint: Option<String>,
    token: Option<SecretString>,
    token_file: Option<PathBuf>,
    tls: TlsFiles,
    environment: Option<Environment>,
    reconnect_timeout: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            endpoint: None,
            token: None,
            token_file: None,
            tls: TlsFiles::default(),
            environment: None,
            reconnect_timeout: Duration::from_secs(60),
        }
    }
}

impl Builder {
    /// Where the server is: `unix:/path/to.sock`, `http://host:port` or `https://host:port`. Default: `CLAUDE_COMMS_SERVER`, else the
    /// default socket.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// The bearer token. Default: see [`Environment::token`].
    #[must_use]
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The file that holds the bearer token; it wins over the environment, not over [`Builder::token`].
    #[must_use]
    pub fn token_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.token_file = Some(file.into());
        self
    }

    /// The authorities that a server's certificate may be of, a PEM file; the system's are then not trusted. Default:
    /// `CLAUDE_COMMS_TLS_CA`, else the system's.
    #[must_use]
    pub fn tls_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.tls.ca = Some(file.into());
        self
    }

    /// The certificate to show to a server that wants one, a PEM file. Default: `CLAUDE_COMMS_TLS_CERT`.
    #[must_use]
    pub fn tls_cert(mut self, file: impl Into<PathBuf>) -> Self {
        self.tls.cert = Some(file.into());
        self
    }

    /// The key of that certificate, a PEM file. Default: `CLAUDE_COMMS_TLS_KEY`.
    #[must_use]
    pub fn tls_key(mut self, file: impl Into<PathBuf>) -> Self {
        self.tls.key = Some(file.into());
        self
    }

    /// The variables to look at instead of this process's.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// How long a stream or a wait that was under way goes on without a server (default 60 s).
    #[must_use]
    pub fn reconnect_timeout(mut self, timeout: Duration) -> Self {
        self.reconnect_timeout = timeout;
        self
    }

    /// Makes the client. Connects to nothing.
    ///
    /// # Errors
    /// [`Error::Endpoint`], [`Error::Token`] and [`Error::Tls`]: what was given cannot be used.
    pub fn build(self) -> Result<Client, Error> {
        let environment = self.environment.unwrap_or_else(Environment::of_process);
        let endpoint = match self.endpoint {
            Some(text) => text.parse::<Endpoint>()?,
            None => environment.endpoint()?,
        };
        let token = match (self.token, self.token_file) {
            (Some(token), _) => Some(checked(&token)?),
            (None, Some(file)) => Some(environment::read_token(file)?),
            (None, None) => environment.token(&endpoint)?,
        };
        if token.is_some() && matches!(endpoint, Endpoint::Tcp { .. }) && !endpoint.is_loopback_tcp() {
            return Err(EndpointError::ClearText(endpoint.to_string()).into());
        }
        let tls = match &endpoint {
            Endpoint::Tls { host, port } => {
                Some(Connector::new(&self.tls.or(environment.tls_files()), host, *port)?)
            }
            // What the environment says of TLS is for other servers.
            Endpoint::Unix(_) | Endpoint::Tcp { .. } => None,
        };
        Ok(Client {
            inner: Arc::new(Inner {
                endpoint,
                authorization: Authorization::new(token.as_ref()),
                has_token: token.is_some(),
                tls,
                reconnect_timeout: self.reconnect_timeout,
                channel: OnceLock::new(),
            }),
        })
    }
}

fn checked(token: &SecretString) -> Result<SecretString, TokenError> {
    environment::check(secrecy::ExposeSecret::expose_secret(token), || "the client's builder".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_sent_to_another_machine_in_clear_text() {
        let build =
            |endpoint: &str| Client::builder().endpoint(endpoint).token("a-token-of-16-chars").build();
        let error = build("http://comms.example.org:7443").expect_err("it would be readable").to_string();
        assert!(error.contains("clear text") && error.contains("https://"), "{error}");
        assert!(build("http://127.0.0.1:7443").is_ok());
    }
}
