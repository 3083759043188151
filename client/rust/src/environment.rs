//! Discovery of endpoint and token from the environment. Reads variables and token files; opens no connection.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    path::PathBuf,
};

use secrecy::SecretString;

use crate::{Endpoint, EndpointError, tls::TlsFiles};

/// A token is one line; more than this is no token file.
const TOKEN_LIMIT_BYTES: usize = 16 * 1024;

/// The variables that discovery looks at. A variable that is set but empty counts as unset.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

/// Why a token cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file that was named cannot be read.
    #[error("read the token file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What was given cannot be a token.
    #[error("the token in {origin} is not one line of visible ASCII")]
    Malformed {
        /// Where it came from: a variable or a file.
        origin: String,
    },
}

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A directory variable; the XDG specification says to ignore relative ones.
    fn directory(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// `CLAUDE_COMMS_SERVER`, else the default socket: `$XDG_RUNTIME_DIR/claude-comms/claude-comms.sock`, else
    /// `~/.claude-comms/claude-comms.sock`.
    ///
    /// # Errors
    /// [`EndpointError`]: the variable holds no endpoint, or there is no directory for the default.
    pub fn endpoint(&self) -> Result<Endpoint, EndpointError> {
        if let Some(text) = self.get("CLAUDE_COMMS_SERVER") {
            return text.to_string_lossy().parse();
        }
        let directory = match self.directory("XDG_RUNTIME_DIR") {
            Some(runtime) => runtime.join("claude-comms"),
            None => self.directory("HOME").ok_or(EndpointError::NoDefault)?.join(".claude-comms"),
        };
        Ok(Endpoint::Unix(directory.join("claude-comms.sock")))
    }

    /// The token for this endpoint: `CLAUDE_COMMS_TOKEN`, else the file `CLAUDE_COMMS_TOKEN_FILE` names, else, for TCP
    /// on this machine alone, the file that the server keeps in its data directory. `None` when there is none.
    ///
    /// # Errors
    /// [`TokenError`]: what was named cannot be read or is no token.
    pub fn token(&self, endpoint: &Endpoint) -> Result<Option<SecretString>, TokenError> {
        if let Some(token) = self.get("CLAUDE_COMMS_TOKEN") {
            return check(&token.to_string_lossy(), || "CLAUDE_COMMS_TOKEN".into()).map(Some);
        }
        if let Some(file) = self.get("CLAUDE_COMMS_TOKEN_FILE") {
            return read_token(PathBuf::from(file)).map(Some);
        }
        let own = endpoint.is_loopback_tcp().then(|| self.server_token_file()).flatten();
        // A server of another user has a file we cannot read: the server itself then says that a token is needed.
        Ok(own.and_then(|file| read_token(file).ok()))
    }

    /// `CLAUDE_COMMS_TLS_CA`, `CLAUDE_COMMS_TLS_CERT` and `CLAUDE_COMMS_TLS_KEY`.
    pub(crate) fn tls_files(&self) -> TlsFiles {
        let path = |name| self.get(name).map(PathBuf::from);
        TlsFiles {
            ca: path("CLAUDE_COMMS_TLS_CA"),
            cert: path("CLAUDE_COMMS_TLS_CERT"),
            key: path("CLAUDE_COMMS_TLS_KEY"),
        }
    }

    /// Where a server of this user keeps its token: `token` in its data directory.
    pub fn server_token_file(&self) -> Option<PathBuf> {
        let data = self
            .directory("CLAUDE_COMMS_DATA_DIR")
            .or_else(|| self.directory("XDG_DATA_HOME").map(|home| home.join("claude-comms")))
            .or_else(|| self.directory("HOME").map(|home| home.join(".local/share/claude-comms")))?;
        Some(data.join("token"))
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

/// Reads the token in a file that the user named.
pub(crate) fn read_token(path: PathBuf) -> Result<SecretString, TokenError> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        io::Read::read_to_string(
            &mut io::Read::take(std::fs::File::open(&path)?, TOKEN_LIMIT_BYTES as u64 + 1),
            &mut text,
        )?;
        Ok(text)
    };
    match read() {
        Ok(text) => check(&text, || path.display().to_string()),
        Err(source) if source.kind() == io::ErrorKind::InvalidData => {
            Err(TokenError::Malformed { origin: path.display().to_string() })
        }
        Err(source) => Err(TokenError::Unreadable { path, source }),
    }
}

/// A token goes into a header: visible ASCII without spaces.
pub(crate) fn check(text: &str, origin: impl FnOnce() -> String) -> Result<SecretString, TokenError> {
    let token = text.trim_ascii();
    let usable =
        !token.is_empty() && token.len() <= TOKEN_LIMIT_BYTES && token.bytes().all(|b| b.is_ascii_graphic());
    if usable { Ok(token.to_owned().into()) } else { Err(TokenError::Malformed { origin: origin() }) }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().copied().collect()
    }

    #[test]
    fn the_default_socket_follows_the_runtime_directory_then_home() {
        let endpoint = |variables: &[(&str, &str)]| environment(variables).endpoint().map(|e| e.to_string());
        let both = [("XDG_RUNTIME_DIR", "/run/user/7"), ("HOME", "/users/u")];
        assert_eq!(endpoint(&both).expect("default"), "unix:/run/user/7/claude-comms/claude-comms.sock");
        for runtime in ["", "relative"] {
            let home = [("XDG_RUNTIME_DIR", runtime), ("HOME", "/users/u")];
            assert_eq!(endpoint(&home).expect("default"), "unix:/users/u/.claude-comms/claude-comms.sock");
        }
        assert_eq!(endpoint(&[]), Err(EndpointError::NoDefault));
        assert_eq!(endpoint(&[("CLAUDE_COMMS_SERVER", "http://h:1")]).expect("given"), "http://h:1");
        assert!(endpoint(&[("CLAUDE_COMMS_SERVER", "nonsense"), ("HOME", "/h")]).is_err());
    }

    #[test]
    fn the_servers_own_token_goes_to_this_machine_only() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir(dir.path().join("claude-comms")).expect("mkdir");
        std::fs::write(dir.path().join("claude-comms/token"), "s3cret\n").expect("write");
        let env = environment(&[("XDG_DATA_HOME", dir.path().to_str().expect("utf-8"))]);
        let token = |endpoint: &str| {
            let endpoint = endpoint.parse().expect("endpoint");
            env.token(&endpoint).expect("token").map(|token| token.expose_secret().to_owned())
        };
        assert_eq!(token("http://127.0.0.1:1").as_deref(), Some("s3cret"));
        assert_eq!(token("http://example.org:1"), None);
        assert_eq!(token("unix:/x"), None);
    }

    #[test]
    fn a_named_token_that_cannot_be_used_is_an_error_not_silence() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("token");
        std::fs::write(&file, "two words").expect("write");
        let endpoint = Endpoint::Unix("/x".into());
        let named =
            |name: &str, value: &str| environment(&[(name, value)]).token(&endpoint).map(|t| t.is_some());
        assert!(matches!(
            named("CLAUDE_COMMS_TOKEN_FILE", file.to_str().expect("utf-8")),
            Err(TokenError::Malformed { .. })
        ));
        assert!(matches!(
            named("CLAUDE_COMMS_TOKEN_FILE", "/nonexistent/token"),
            Err(TokenError::Unreadable { .. })
        ));
        assert!(matches!(named("CLAUDE_COMMS_TOKEN", "a\nb"), Err(TokenError::Malformed { .. })));
        assert!(named("CLAUDE_COMMS_TOKEN", "abc").expect("token"));
    }
}
