//! Endpoints: parsing, binding, stale sockets.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, UnixListener};

use crate::config::Listen;

/// Longest path of a Unix socket (sockaddr_un on Linux, without the final NUL).
const SOCKET_PATH_BYTES: usize = 107;

/// Reads an endpoint.
///
/// # Errors
/// Words that name the remedy.
pub fn parse(text: &str) -> Result<Listen, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') {
            return Err(format!("must be unix: and an absolute path, not {text}"));
        }
        return Ok(Listen::Unix(PathBuf::from(path)));
    }
    let (authority, tls) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(authority), _) => (authority, false),
        (None, Some(authority)) => (authority, true),
        (None, None) => {
            return Err(format!(
                "must be unix:/path/to.sock, http://127.0.0.1:PORT or https://ADDRESS:PORT, not {text}"
            ));
        }
    };
    let authority = authority.trim_end_matches('/');
    let address: SocketAddr = authority.replace("localhost", "127.0.0.1").parse().map_err(|_| {
        format!("must be {}://ADDRESS:PORT with a numeric address (or localhost) and a port from 0 to 65535, not {text}", if tls { "https" } else { "http" })
    })?;
    if tls {
        return Ok(Listen::Tls(address));
    }
    if !address.ip().is_loopback() {
        return Err(format!(
            "{text} can be reached from other machines, which needs TLS: use https:// with tls.cert and tls.key, or listen on 127.0.0.1 or a Unix socket"
        ));
    }
    Ok(Listen::Tcp(address))
}

/// Whether only this machine can reach it.
pub fn is_local(listen: &Listen) -> bool {
    match listen {
        Listen::Unix(_) => true,
        Listen::Tcp(address) | Listen::Tls(address) => address.ip().is_loopback(),
    }
}

/// An endpoint that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody answers there.
    #[error("{endpoint} is in use by a running server; stop it, or give another --listen")]
    InUse {
        /// The endpoint.
        endpoint: String,
    },
    /// There is a file that is not a socket.
    #[error("{path} exists and is not a socket; move it away, or give another --listen")]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The socket's directory can be changed by others.
    #[error("{path} can be written by others, who could replace the socket; use a directory of mode 0700")]
    OpenDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// Its path is longer than the system's sockets can have.
    #[error(
        "{path} is longer than the {SOCKET_PATH_BYTES} bytes that a socket's path may have; give a shorter --listen"
    )]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot listen on {endpoint}")]
    Refused {
        /// The endpoint.
        endpoint: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// An open endpoint.
#[derive(Debug)]
pub enum Bound {
    /// A Unix socket, removed with the guard.
    Unix(UnixListener, SocketFile),
    /// TCP.
    Tcp(TcpListener),
    /// TCP, in TLS.
    Tls(TcpListener),
}

/// Removes the socket file when the server ends, if it is still ours.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|m| m.ino() == self.inode) {
            // A leftover is harmless: the next server sees that nobody answers and replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens an endpoint and says how clients name it, with the real port. Call it only while the data directory is held:
/// that is what makes replacing a stale socket safe against a second server that starts.
///
/// # Errors
/// [`ListenError`].
pub async fn bind(listen: &Listen) -> Result<(Bound, String), ListenError> {
    match listen {
        Listen::Unix(path) => {
            let endpoint = format!("unix:{}", path.display());
            let refused = |source| ListenError::Refused { endpoint: endpoint.clone(), source };
            let listener = bind_unix(path, &endpoint).await?;
            let inode = fs::symlink_metadata(path).map_err(refused)?.ino();
            Ok((Bound::Unix(listener, SocketFile { path: path.clone(), inode }), endpoint))
        }
        Listen::Tcp(address) => {
            let (listener, endpoint) = bind_tcp(address, "http").await?;
            Ok((Bound::Tcp(listener), endpoint))
        }
        Listen::Tls(address) => {
            let (listener, endpoint) = bind_tcp(address, "https").await?;
            Ok((Bound::Tls(listener), endpoint))
        }
    }
}

async fn bind_tcp(address: &SocketAddr, scheme: &str) -> Result<(TcpListener, String), ListenError> {
    let endpoint = format!("{scheme}://{address}");
    let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { endpoint: endpoint.clone() },
        _ => ListenError::Refused { endpoint: endpoint.clone(), source },
    })?;
    let real = listener.local_addr().map_err(|source| ListenError::Refused { endpoint, source })?;
    Ok((listener, format!("{scheme}://{real}")))
}

async fn bind_unix(path: &Path, endpoint: &str) -> Result<UnixListener, ListenError> {
    let refused = |source| ListenError::Refused { endpoint: endpoint.to_owned(), source };
    if path.as_os_str().len() > SOCKET_PATH_BYTES {
        return Err(ListenError::TooLong { path: path.to_owned() });
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(refused)?;
    let mode = fs::metadata(parent).map_err(refused)?.mode();
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return Err(ListenError::OpenDirectory { path: parent.to_owned() });
    }
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(ListenError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {
            // Only a refusal says that nobody listens; a full backlog is a busy server's.
            match tokio::net::UnixStream::connect(path).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Ok(_) => return Err(ListenError::InUse { endpoint: endpoint.to_owned() }),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(ListenError::InUse { endpoint: endpoint.to_owned() });
                }
                Err(error) => return Err(refused(error)),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(refused(error)),
    }
    // Bound under another name and renamed once its mode is set: it is never open to others, not for a moment.
    let fresh = parent.join(format!(".{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh).map_err(refused)?;
    let placed = fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&fresh, path));
    if let Err(error) = placed {
        let _ = fs::remove_file(&fresh);
        return Err(refused(error));
    }
    Ok(listener)
}
