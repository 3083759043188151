//! Where a server listens, as users write it. Knows nothing of connections.

use std::{fmt, path::PathBuf, str::FromStr};

/// Where a server listens.
///
/// ```
/// use claude_comms_client::Endpoint;
///
/// let endpoint: Endpoint = "http://127.0.0.1:7300".parse()?;
/// assert!(endpoint.is_loopback_tcp());
/// assert_eq!(endpoint.to_string(), "http://127.0.0.1:7300");
/// assert!("https://example.org:7300".parse::<Endpoint>()?.is_tls());
/// # Ok::<(), claude_comms_client::EndpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket, by its absolute path: `unix:/run/user/1000/claude-comms/claude-comms.sock`.
    Unix(PathBuf),
    /// TCP without TLS: `http://host:port`.
    Tcp {
        /// Name or address; IPv6 without brackets.
        host: String,
        /// Port, 1 to 65535.
        port: u16,
    },
    /// TCP with TLS: `https://host:port`.
    Tls {
        /// Name or address, as in the server's certificate; IPv6 without brackets.
        host: String,
        /// Port, 1 to 65535.
        port: u16,
    },
}

/// Why a text is no endpoint this client can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The scheme is none of ours.
    #[error("`{0}` is no endpoint: give unix:/path/to.sock, http://host:port or https://host:port")]
    Unknown(String),
    /// The path after `unix:` is relative or empty.
    #[error("`{0}`: the path of a Unix socket must be absolute, as in unix:/path/to.sock")]
    RelativePath(String),
    /// Host or port is missing or malformed.
    #[error("`{0}`: give host and port and nothing after them, as in http://127.0.0.1:7300")]
    HostAndPort(String),
    /// A token would be readable on its way.
    #[error("`{0}`: a token is not sent to another machine in clear text; use https://")]
    ClearText(String),
    /// No endpoint was given and none can be guessed.
    #[error(
        "no default socket: neither XDG_RUNTIME_DIR nor HOME is set; give --server or CLAUDE_COMMS_SERVER"
    )]
    NoDefault,
}

impl Endpoint {
    /// Whether this is TCP to this very machine, so that the server's own token file may be used.
    pub fn is_loopback_tcp(&self) -> bool {
        match self {
            Self::Unix(_) => false,
            Self::Tcp { host, .. } | Self::Tls { host, .. } => {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

impl Endpoint {
    /// Whether it is spoken to in TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls { .. })
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            // unix:///path is the same socket as unix:/path.
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') || path.contains('\0') {
                return Err(EndpointError::RelativePath(text.into()));
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let tls = text.starts_with("https://");
        if !tls && !text.starts_with("http://") {
            return Err(EndpointError::Unknown(text.into()));
        }
        let malformed = || EndpointError::HostAndPort(text.into());
        let uri: http::Uri = text.parse().map_err(|_| malformed())?;
        let authority = uri.authority().ok_or_else(malformed)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().filter(|port| *port != 0).ok_or_else(malformed)?;
        let bare =
            matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
        if host.is_empty() || !bare {
            return Err(malformed());
        }
        let host = host.into();
        Ok(if tls { Self::Tls { host, port } } else { Self::Tcp { host, port } })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } | Self::Tls { host, port } => {
                let scheme = if self.is_tls() { "https" } else { "http" };
                if host.contains(':') {
                    write!(f, "{scheme}://[{host}]:{port}")
                } else {
                    write!(f, "{scheme}://{host}:{port}")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_write_is_understood_and_written_back() {
        for (text, canonical) in [
            ("unix:/run/x.sock", "unix:/run/x.sock"),
            ("unix:///run/a b.sock", "unix:/run/a b.sock"),
            ("http://localhost:80", "http://localhost:80"),
            ("http://[::1]:7300/", "http://[::1]:7300"),
            ("https://example.org:7300", "https://example.org:7300"),
            ("https://[::1]:7300/", "https://[::1]:7300"),
        ] {
            assert_eq!(text.parse::<Endpoint>().expect(text).to_string(), canonical);
        }
    }

    #[test]
    fn what_cannot_be_used_says_what_can() {
        for (text, part) in [
            ("", "give unix:"),
            ("localhost:7300", "give unix:"),
            ("unix:", "absolute"),
            ("unix:x.sock", "absolute"),
            ("http://", "host and port"),
            ("http://host", "host and port"),
            ("http://host:0", "host and port"),
            ("http://host:99999", "host and port"),
            ("http://user@host:1", "host and port"),
            ("http://host:1/path", "host and port"),
            ("https://host", "host and port"),
            ("https://host:1/path", "host and port"),
        ] {
            let message = text.parse::<Endpoint>().expect_err(text).to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, loopback) in [
            ("http://127.0.0.9:1", true),
            ("http://LOCALHOST:1", true),
            ("http://[::1]:1", true),
            ("https://localhost:1", true),
            ("https://example.org:1", false),
            ("http://10.0.0.1:1", false),
            ("http://localhost.example.org:1", false),
            ("unix:/x", false),
        ] {
            assert_eq!(text.parse::<Endpoint>().expect(text).is_loopback_tcp(), loopback, "{text}");
        }
    }
}
