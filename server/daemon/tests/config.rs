//! Settings come from four places in one order, and a bad one is named with its place, its key and the remedy.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use claude_comms_server::config::{AuthMode, BackendKind, Config, ConfigError, Listen, Overrides, load};

fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn from_file(text: &str, pairs: &[(&str, &str)], overrides: Overrides) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("claude-comms.yaml");
    std::fs::write(&file, text).expect("the file is written");
    let mut pairs = pairs.to_vec();
    pairs.push(("HOME", "/users/nobody"));
    load(Overrides { config_file: Some(file), ..overrides }, environment(&pairs).into_iter())
}

fn problems(text: &str, pairs: &[(&str, &str)]) -> String {
    from_file(text, pairs, Overrides::default()).expect_err("these settings are bad").to_string()
}

#[test]
fn without_any_setting_the_places_of_the_user_are_used() {
    let config = load(Overrides::default(), environment(&[("HOME", "/users/a")]).into_iter()).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("/users/a/.local/share/claude-comms"));
    assert_eq!(config.listen, [Listen::Unix("/users/a/.claude-comms/claude-comms.sock".into())]);
    let xdg = [("HOME", "/users/a"), ("XDG_RUNTIME_DIR", "/run/user/1"), ("XDG_DATA_HOME", "/data")];
    let config = load(Overrides::default(), environment(&xdg).into_iter()).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("/data/claude-comms"));
    assert_eq!(config.listen, [Listen::Unix("/run/user/1/claude-comms/claude-comms.sock".into())]);
    assert!(
        load(Overrides::default(), environment(&[]).into_iter())
            .unwrap_err()
            .to_string()
            .contains("--data-dir")
    );
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = "pool: {max_instances: 3, max_queue: 30, idle_timeout: 10m}\nbackend: simulated\n";
    let pairs = [("CLAUDE_COMMS_POOL__MAX_QUEUE", "40"), ("CLAUDE_COMMS_BACKEND", "simulated")];
    let flags = Overrides { backend: Some("claude".to_owned()), ..Overrides::default() };
    let config = from_file(file, &pairs, flags).unwrap();
    assert_eq!((config.pool.max_instances, config.pool.max_queue), (3, 40));
    assert_eq!((config.backend, config.pool.idle_timeout), (BackendKind::Claude, Duration::from_secs(600)));
    assert_eq!(config.pool.turn_timeout, Duration::from_secs(1800));
}

#[test]
fn every_unknown_key_is_named_with_its_place_and_the_nearest_known_one() {
    let text = problems(
        "pool: {max_instance: 3}\nlisten_on: []\nauth: {mode: none, user: x}\n",
        &[("CLAUDE_COMMS_POOLS__X", "1")],
    );
    assert!(text.contains("unknown key pool.max_instance; did you mean pool.max_instances?"), "{text}");
    assert!(text.contains("unknown key listen_on"), "{text}");
    assert!(text.contains("unknown key auth.user"), "{text}");
    assert!(text.contains("environment variable CLAUDE_COMMS_POOLS__X: unknown key pools.x"), "{text}");
    assert!(text.contains("claude-comms.yaml"), "{text}");
}

#[test]
fn every_bad_value_is_named_with_what_it_should_be() {
    let text = problems(
        "pool: {max_instances: 0, idle_timeout: soon}\nbackend: gpt\nlisten: [ftp://x, 'http://0.0.0.0:1', 'https://localhost:1']\n",
        &[],
    );
    assert!(text.contains("pool.max_instances must be a whole number from 1"), "{text}");
    assert!(text.contains("pool.idle_timeout must be a span of time"), "{text}");
    assert!(text.contains("backend must be claude or simulated"), "{text}");
    assert!(text.contains("listen must be unix:/path"), "{text}");
    for (listen, words) in
        [("http://0.0.0.0:1", "needs TLS"), ("https://127.0.0.1:1", "TLS is not available")]
    {
        let text = problems(&format!("listen: ['{listen}']"), &[]);
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn the_file_may_be_empty_but_not_something_else_than_a_map() {
    for text in ["", "# nothing\n", "pool:\n"] {
        assert!(from_file(text, &[], Overrides::default()).is_ok(), "{text:?}");
    }
    assert!(problems("- a\n", &[]).contains("must be a map"));
    assert!(problems("a: [", &[]).contains("not valid YAML"));
    let missing = Overrides { config_file: Some("/nonexistent/x.yaml".into()), ..Overrides::default() };
    let error = load(missing, environment(&[("HOME", "/h")]).into_iter()).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/x.yaml"), "{error}");
}

#[test]
fn the_clients_variables_are_ignored_and_no_one_elses_reach_a_process() {
    let pairs = [
        ("CLAUDE_COMMS_SERVER", "unix:/x"),
        ("CLAUDE_COMMS_TOKEN", "t"),
        ("ANTHROPIC_API_KEY", "k"),
        ("SECRET", "s"),
        ("CLAUDECODE", "1"),
    ];
    let config =
        from_file("claude: {environment: {EXTRA: 1}}\nauth: {mode: none}\n", &pairs, Overrides::default())
            .unwrap();
    assert_eq!(config.auth, AuthMode::None);
    let names: Vec<&str> = config.instance_environment.0.keys().map(String::as_str).collect();
    assert_eq!(names, ["ANTHROPIC_API_KEY", "EXTRA"]);
}
