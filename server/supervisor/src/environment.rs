//! What a process sees of the environment: an allow-list of the server's, and the switches that keep
//! the CLI quiet. It must not read the server's environment itself.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use crate::dirs::InstanceDirs;

/// Variables of the server's environment an instance may see.
const ALLOWED: &[&str] = &[
    "PATH",
    "LANG",
    "TZ",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_MAX_RETRIES",
    // Certificate authorities and client certificates.
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CLAUDE_CODE_CLIENT_CERT",
    "CLAUDE_CODE_CLIENT_KEY",
];
/// Read in lower case too, by curl's custom.
const PROXY: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// For a server without a PATH: what the CLI needs to find a shell and git.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// No calls but the API's; a retrying turn must not look hung (the CLI's own default is 10 tries).
const SWITCHES: &[(&str, &str)] = &[
    ("DISABLE_TELEMETRY", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("CLAUDE_CODE_MAX_RETRIES", "3"),
];
/// Where `--bare` cannot be used, the `@path` reads, attachments, CLAUDE.md files and memories it stops must be stopped
/// singly. Settings, hooks, servers and commands are stopped by the flags of every launch.
const NOT_BARE_SWITCHES: &[(&str, &str)] = &[
    ("CLAUDE_CODE_DISABLE_FILE_MENTIONS", "1"),
    ("CLAUDE_CODE_DISABLE_ATTACHMENTS", "1"),
    ("CLAUDE_CODE_DISABLE_CLAUDE_MDS", "1"),
    ("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1"),
];

/// Set by a CLI for its children: ours must not think it is nested in another.
const NEVER: &[&str] = &["CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT"];

/// Those of `all` that an instance may see: the locale, the API's key and address, proxies and
/// certificate authorities.
pub fn allowed_environment(all: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    all.filter(|(name, _)| {
        ALLOWED.contains(&name.as_str())
            || PROXY.iter().any(|proxy| name == proxy || *name == proxy.to_ascii_lowercase())
    })
    .collect()
}

/// How processes prove to the API who pays: what the CLI takes first, of what it is given (2.1.330).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// `ANTHROPIC_API_KEY`.
    ApiKey,
    /// `ANTHROPIC_AUTH_TOKEN`.
    AuthToken,
    /// `CLAUDE_CODE_OAUTH_TOKEN`, from `claude setup-token`.
    OauthToken,
    /// What is in an operator's own configuration directory.
    ConfigDir,
    /// None: turns fail.
    None,
}

impl Login {
    /// The login of processes with this environment, and with an operator's directory if there is one.
    pub fn of(environment: &BTreeMap<String, String>, config_dir: Option<&Path>) -> Self {
        let has = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
        if has("ANTHROPIC_API_KEY") {
            Self::ApiKey
        } else if has("ANTHROPIC_AUTH_TOKEN") {
            Self::AuthToken
        } else if has("CLAUDE_CODE_OAUTH_TOKEN") {
            Self::OauthToken
        } else if config_dir.is_some() {
            Self::ConfigDir
        } else {
            Self::None
        }
    }
}

/// How the CLI is kept from what is not the server's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// By `--bare`.
    Bare,
    /// By each switch of its own: under `--bare` CLI 2.1.330 uses no OAuth login, it answers `Not logged in`.
    Singly,
}

impl Lock {
    pub(crate) fn of(environment: &BTreeMap<String, String>, config_dir: Option<&Path>) -> Self {
        let oauth = Login::of(environment, config_dir) == Login::OauthToken;
        if oauth || config_dir.is_some() { Self::Singly } else { Self::Bare }
    }
}

/// The whole environment of one process: `given`, then the switches it does not set itself, then what
/// identifies the instance, which cannot be overridden.
pub(crate) fn complete(
    given: &BTreeMap<String, String>,
    owner: &str,
    dirs: &InstanceDirs,
    lock: Lock,
) -> BTreeMap<OsString, OsString> {
    let mut all: BTreeMap<OsString, OsString> =
        given.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let extra: &[_] = match lock {
        Lock::Bare => &[],
        Lock::Singly => NOT_BARE_SWITCHES,
    };
    for (name, value) in SWITCHES.iter().chain(extra).chain([&("PATH", DEFAULT_PATH)]) {
        all.entry(name.into()).or_insert_with(|| value.into());
    }
    for name in NEVER {
        all.remove(std::ffi::OsStr::new(name));
    }
    all.insert("INSTANCE_OWNER".into(), owner.into());
    all.insert("HOME".into(), dirs.home().into());
    all.insert("CLAUDE_CONFIG_DIR".into(), dirs.config().into());
    all.insert("XDG_RUNTIME_DIR".into(), dirs.run().into());
    all.insert("TMPDIR".into(), dirs.tmp().into());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn only_the_allow_list_passes() {
        let all = map(&[
            ("PATH", "/bin"),
            ("HOME", "/home/somebody"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("CLAUDECODE", "1"),
            ("https_proxy", "http://p"),
            ("HTTPS_PROXY", "http://P"),
            ("NODE_EXTRA_CA_CERTS", "/ca.pem"),
            ("ANTHROPIC_API_KEY", "k"),
            ("LD_PRELOAD", "/evil.so"),
        ]);
        let allowed = allowed_environment(all.into_iter());
        assert_eq!(
            allowed.keys().collect::<Vec<_>>(),
            ["ANTHROPIC_API_KEY", "HTTPS_PROXY", "NODE_EXTRA_CA_CERTS", "PATH", "https_proxy"]
        );
    }

    #[test]
    fn a_given_switch_wins_and_the_instance_s_identity_cannot_be_given() {
        let dirs = InstanceDirs::below("/i".as_ref(), "a", None).unwrap();
        let given = map(&[
            ("CLAUDE_CODE_MAX_RETRIES", "7"),
            ("HOME", "/elsewhere"),
            ("INSTANCE_OWNER", "them"),
            ("CLAUDECODE", "1"),
        ]);
        let all = complete(&given, "us", &dirs, Lock::of(&given, None));
        let get = |name: &str| all.get(std::ffi::OsStr::new(name)).and_then(|value| value.to_str());
        assert_eq!(get("CLAUDE_CODE_MAX_RETRIES"), Some("7"));
        assert_eq!(get("DISABLE_TELEMETRY"), Some("1"));
        assert_eq!(get("HOME"), Some("/i/a/home"));
        assert_eq!(get("INSTANCE_OWNER"), Some("us"));
        assert_eq!(get("CLAUDECODE"), None);
        assert!(get("PATH").unwrap().contains("/usr/bin"));
    }

    #[test]
    fn an_oauth_token_alone_needs_the_switches_that_bare_would_give() {
        let dirs = InstanceDirs::below("/i".as_ref(), "a", None).unwrap();
        let token = map(&[("CLAUDE_CODE_OAUTH_TOKEN", "t")]);
        let name = std::ffi::OsStr::new("CLAUDE_CODE_DISABLE_FILE_MENTIONS");
        let complete = |given: &_| complete(given, "us", &dirs, Lock::of(given, None));
        assert!(complete(&token).contains_key(name));
        let both = map(&[("CLAUDE_CODE_OAUTH_TOKEN", "t"), ("ANTHROPIC_AUTH_TOKEN", "k")]);
        assert!(!complete(&both).contains_key(name));
    }

    #[test]
    fn the_login_is_what_the_cli_takes_first() {
        let own = Some(Path::new("/login"));
        let all = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];
        let logins = [Login::ApiKey, Login::AuthToken, Login::OauthToken];
        let locks = [Lock::Bare, Lock::Bare, Lock::Singly];
        for (at, (login, lock)) in logins.into_iter().zip(locks).enumerate() {
            let given = map(&all[at..].iter().map(|name| (*name, "secret")).collect::<Vec<_>>());
            assert_eq!((Login::of(&given, own), Lock::of(&given, None)), (login, lock));
            assert_eq!(
                Lock::of(&given, own),
                Lock::Singly,
                "an operator's directory is not read under --bare"
            );
        }
        let empty = map(&[("ANTHROPIC_API_KEY", "")]);
        assert_eq!((Login::of(&empty, None), Login::of(&empty, own)), (Login::None, Login::ConfigDir));
    }
}
