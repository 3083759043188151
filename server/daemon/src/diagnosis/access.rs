//! The ways in: sockets with their modes, and the token of TCP endpoints. Its value is never told.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
    time::Duration,
};

use super::{run::Subject, verdict::Found};
use crate::config::{AuthMode, Listen};

/// Longest path of a Unix socket.
const SOCKET_PATH_BYTES: usize = 107;
/// How long a server may take to accept a connection.
const ACCEPT_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn sockets(subject: &Subject) -> Found {
    let mut all = Vec::new();
    for path in subject.sockets() {
        let runs = subject.attached.is_some();
        let found = of_file(path, runs)
            .unwrap_or_else(|| Found::ok(format!("{} is the owner's alone", path.display())));
        all.push(found);
        if fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
            all.extend(answers(path, runs).await);
        }
    }
    Found::worst(all).unwrap_or_else(|| Found::skipped("no Unix socket is configured"))
}

/// What is wrong with a socket's file, or its directory.
fn of_file(path: &Path, server_runs: bool) -> Option<Found> {
    let shown = path.display();
    if path.as_os_str().len() > SOCKET_PATH_BYTES {
        return Some(Found::problem(
            format!("{shown} is longer than the {SOCKET_PATH_BYTES} bytes that a socket's path may have"),
            "give a shorter path in `listen`",
        ));
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    if let Ok(metadata) = fs::metadata(parent)
        && metadata.mode() & 0o022 != 0
        && metadata.mode() & 0o1000 == 0
    {
        return Some(Found::problem(
            format!("{} can be written by others, who could replace the socket", parent.display()),
            format!("run `chmod 700 {}`, or use another directory", parent.display()),
        ));
    }
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Some(if server_runs {
                Found::problem(
                    format!("{shown} is gone: nobody can connect there any more"),
                    "restart the server, and see who removed it (a cleaner of temporary files?)",
                )
            } else {
                Found::ok(format!("{shown} is made when the server starts"))
            });
        }
        Err(error) => {
            return Some(Found::problem(
                format!("{shown} cannot be looked at: {error}"),
                "give the server's user the right to enter its directory",
            ));
        }
    };
    if !metadata.file_type().is_socket() {
        return Some(Found::problem(
            format!("{shown} exists and is not a socket"),
            "move it away, or give another `listen`",
        ));
    }
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        return Some(Found::problem(
            format!("{shown} belongs to user {}, the server runs as {own}", metadata.uid()),
            "run the server and its clients as one user, or give another `listen`",
        ));
    }
    let mode = metadata.mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        Found::warning(
            format!("{shown} is open to others (mode {mode:03o}); the server refuses them by their user"),
            format!("run `chmod 600 {shown}`"),
        )
    })
}

/// Whether somebody accepts connections there, as far as that is a matter.
async fn answers(path: &Path, server_runs: bool) -> Option<Found> {
    let shown = path.display();
    let connected = tokio::time::timeout(ACCEPT_LIMIT, tokio::net::UnixStream::connect(path)).await;
    match (connected, server_runs) {
        (Ok(Ok(_)), true) => None,
        (Ok(Ok(_)), false) => Some(Found::warning(
            format!("somebody accepts connections on {shown}, but does not answer as a claude-comms server"),
            "end what listens there, or give another `listen`",
        )),
        (Ok(Err(error)), true) => Some(Found::problem(
            format!("nobody can connect to {shown}: {error}"),
            "restart the server: its socket was replaced",
        )),
        // Left by one that was killed; the next start replaces it.
        (Ok(Err(_)), false) => None,
        (Err(_), _) => Some(Found::problem(
            format!("{shown} accepts no connection within {} s", ACCEPT_LIMIT.as_secs()),
            "the process that listens there hangs: end it and start the server",
        )),
    }
}

pub(super) fn token(subject: &Subject) -> Found {
    let config = &subject.config;
    if !config.listen.iter().any(|listen| !matches!(listen, Listen::Unix(_))) {
        return Found::skipped("no TCP endpoint is configured, and a Unix socket needs no token");
    }
    if config.auth == AuthMode::None {
        return Found::warning(
            "auth.mode is none: every user and program of this machine may call the server",
            "set auth.mode to token, unless that is meant",
        );
    }
    of_token(&config.data_dir.join("token"), subject.attached.is_some())
}

fn of_token(path: &Path, server_runs: bool) -> Found {
    let shown = path.display();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !server_runs => {
            return Found::ok(format!("{shown} is made at the first start"));
        }
        Err(error) => {
            return Found::warning(
                format!(
                    "the token file {shown} cannot be read: {error}; clients on this machine do not find the token"
                ),
                "restart the server: it makes a new one",
            );
        }
    };
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Found::problem(
            format!("the token file {shown} can be read by others (mode {mode:03o})"),
            format!(
                "run `chmod 600 {shown}`; if somebody may have read it, remove it and restart the server, which makes a new one"
            ),
        );
    }
    // Its length alone: what it says is nobody's business.
    match fs::read_to_string(path) {
        Ok(text) if text.trim().len() >= 16 => Found::ok(format!("{shown} is the owner's alone")),
        Ok(_) => Found::problem(
            format!("the token file {shown} holds no token"),
            "remove it and restart the server, which makes a new one",
        ),
        Err(error) => Found::problem(
            format!("the token file {shown} cannot be read: {error}"),
            "give it to the server's user",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::PermissionsExt as _, net::UnixListener};

    use super::*;
    use crate::diagnosis::Verdict;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[track_caller]
    fn expect(found: Option<Found>, verdict: Verdict, words: &str, remedy: &str) {
        let found = found.expect("something is found");
        assert_eq!(found.verdict, verdict, "{found:?}");
        assert!(found.message.contains(words) && found.remedy.contains(remedy), "{found:?}");
    }

    #[tokio::test]
    async fn a_socket_that_is_open_replaced_left_or_gone_is_told() {
        let dir = tempfile::tempdir().unwrap();
        chmod(dir.path(), 0o700);
        let path = dir.path().join("sock");
        expect(of_file(&path, true), Verdict::Problem, "is gone", "restart");
        expect(of_file(&path, false), Verdict::Ok, "is made", "");
        let listener = UnixListener::bind(&path).unwrap();
        chmod(&path, 0o600);
        assert_eq!(of_file(&path, true), None);
        assert_eq!(answers(&path, true).await, None);
        expect(answers(&path, false).await, Verdict::Warning, "does not answer as", "another `listen`");
        chmod(&path, 0o666);
        expect(of_file(&path, true), Verdict::Warning, "mode 666", "chmod 600");
        chmod(dir.path(), 0o777);
        expect(of_file(&path, true), Verdict::Problem, "could replace", "chmod 700");
        chmod(dir.path(), 0o700);
        drop(listener);
        expect(answers(&path, true).await, Verdict::Problem, "nobody can connect", "restart");
        assert_eq!(answers(&path, false).await, None, "the next start replaces it");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        expect(of_file(&path, false), Verdict::Problem, "not a socket", "move it away");
        let long = dir.path().join("x".repeat(120));
        expect(of_file(&long, false), Verdict::Problem, "longer than", "shorter");
    }

    #[test]
    fn a_token_that_others_can_read_or_that_is_none_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        expect(Some(of_token(&path, false)), Verdict::Ok, "first start", "");
        expect(Some(of_token(&path, true)), Verdict::Warning, "cannot be read", "restart");
        fs::write(&path, "canary-0123456789\n").unwrap();
        chmod(&path, 0o600);
        expect(Some(of_token(&path, true)), Verdict::Ok, "alone", "");
        chmod(&path, 0o640);
        let open = of_token(&path, true);
        assert!(!format!("{open:?}").contains("canary"), "{open:?}");
        expect(Some(open), Verdict::Problem, "mode 640", "chmod 600");
        chmod(&path, 0o600);
        fs::write(&path, "short\n").unwrap();
        expect(Some(of_token(&path, true)), Verdict::Problem, "holds no token", "remove it");
    }
}
