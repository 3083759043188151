//! Where the programs of the suite are. `tests/run` installs them and says so in the environment; nothing is looked for in
//! `PATH`, so that a run uses exactly the pinned versions.

use std::{env, path::PathBuf};

fn from_environment(name: &str, what: &str) -> PathBuf {
    let path = env::var_os(name).map(PathBuf::from);
    match path {
        Some(path) if path.exists() => path,
        Some(path) => panic!("{name} names {}, which does not exist", path.display()),
        None => panic!("{name} is not set: it names {what}; tests/run installs it and sets it"),
    }
}

/// The real Claude Code CLI.
#[must_use]
pub fn claude() -> PathBuf {
    from_environment("CLAUDE_COMMS_TEST_CLAUDE", "the real Claude Code CLI")
}

/// The real grpcurl.
#[must_use]
pub fn grpcurl() -> PathBuf {
    from_environment("CLAUDE_COMMS_TEST_GRPCURL", "grpcurl")
}

/// A Python that has grpcio and grpcio-tools.
#[must_use]
pub fn python() -> PathBuf {
    from_environment("CLAUDE_COMMS_TEST_PYTHON", "a Python with grpcio-tools")
}

/// Node.js, and the `node_modules` that hold @grpc/grpc-js and @grpc/proto-loader.
#[must_use]
pub fn node() -> (PathBuf, PathBuf) {
    (
        from_environment("CLAUDE_COMMS_TEST_NODE", "Node.js"),
        from_environment("CLAUDE_COMMS_TEST_NODE_PATH", "a node_modules with @grpc/grpc-js"),
    )
}

/// The binary under test: `CLAUDE_COMMS_BIN`, else the one beside this test's own profile, else the release build.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn server_binary() -> PathBuf {
    if env::var_os("CLAUDE_COMMS_BIN").is_some() {
        return from_environment("CLAUDE_COMMS_BIN", "the claude-comms binary");
    }
    // <target>/<profile>/deps/e2e-<hash>
    let test = env::current_exe().expect("a running test has a path");
    let profile = test.ancestors().nth(2).expect("a test binary lies in <target>/<profile>/deps");
    let target = profile.parent().expect("a profile lies in a target directory");
    let candidates = [profile.join("claude-comms"), target.join("release/claude-comms")];
    candidates.iter().find(|candidate| candidate.exists()).cloned().unwrap_or_else(|| {
        panic!("no claude-comms binary: build it (cargo build --release) or set CLAUDE_COMMS_BIN; looked for {candidates:?}")
    })
}

/// The repository, for tests that read `proto/` or run scripts.
#[must_use]
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_path_buf()
}

/// `long` with `tests/run --long` (`CLAUDE_COMMS_TEST_LONG=1`), else `short`: the same promise on another scale.
#[must_use]
pub fn scale<T>(short: T, long: T) -> T {
    if env::var_os("CLAUDE_COMMS_TEST_LONG").is_some_and(|value| value == "1") { long } else { short }
}
