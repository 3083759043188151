//! Settings come from four places in one order, and a bad one is named with its place, its key and the remedy.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use claude_comms_server::config::{
    self, AuthMode, BackendKind, Changes, Config, ConfigError, ConfigFile, Listen, Loaded, Overrides,
    Settings, load,
};

fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn from_file(text: &str, pairs: &[(&str, &str)], overrides: Overrides) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("claude-comms.yaml");
    std::fs::write(&file, text).expect("the file is written");
    let mut pairs = pairs.to_vec();
    pairs.push(("HOME", "/users/nobody"));
    read(&Overrides { config_file: Some(file), ..overrides }, &pairs).map(|loaded| loaded.config)
}

fn read(overrides: &Overrides, pairs: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load(overrides, environment(pairs).into_iter())
}

fn problems(text: &str, pairs: &[(&str, &str)]) -> String {
    from_file(text, pairs, Overrides::default()).expect_err("these settings are bad").to_string()
}

#[test]
fn without_any_setting_the_places_of_the_user_are_used() {
    let config = read(&Overrides::default(), &[("HOME", "/users/a")]).unwrap().config;
    assert_eq!(config.data_dir, PathBuf::from("/users/a/.local/share/claude-comms"));
    assert_eq!(config.listen, [Listen::Unix("/users/a/.claude-comms/claude-comms.sock".into())]);
    let xdg = [("HOME", "/users/a"), ("XDG_RUNTIME_DIR", "/run/user/1"), ("XDG_DATA_HOME", "/data")];
    let config = read(&Overrides::default(), &xdg).unwrap().config;
    assert_eq!(config.data_dir, PathBuf::from("/data/claude-comms"));
    assert_eq!(config.listen, [Listen::Unix("/run/user/1/claude-comms/claude-comms.sock".into())]);
    assert!(read(&Overrides::default(), &[]).unwrap_err().to_string().contains("--data-dir"));
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = "pool: {max_instances: 3, max_queue: 30, idle_timeout: 10m}\nbackend: simulated\n";
    let pairs = [("CLAUDE_COMMS_POOL__MAX_QUEUE", "40"), ("CLAUDE_COMMS_BACKEND", "simulated")];
    let flags = Overrides { backend: Some("claude".to_owned()), ..Overrides::default() };
    let config = from_file(file, &pairs, flags).unwrap();
    assert_eq!((config.pool.slots(), config.pool.max_queue), (3, 40));
    assert_eq!((config.backend, config.pool.idle_timeout), (BackendKind::Claude, Duration::from_secs(600)));
    assert_eq!(config.pool.turn_timeout, Duration::from_secs(1800));
}

#[test]
fn every_unknown_key_is_named_with_its_place_and_what_was_meant() {
    let text = problems(
        "pool:\n  max_instance: 3\n  max_quue: 4\nlisten_on: []\nauth: {mode: none, user: x}\n\
         max_instances: 3\npol: {max_queue: 3}\nmodule_dir: [/m]\nclaude: {enviroment: {A: b}}\n",
        &[("CLAUDE_COMMS_POOLS__X", "1"), ("CLAUDE_COMMS_POOL_MAX_QUEUE", "1"), ("CLAUDE_COMMS_SERVRE", "x")],
    );
    for words in [
        "claude-comms.yaml:2: unknown key pool.max_instance; did you mean pool.max_instances?",
        "claude-comms.yaml:3: unknown key pool.max_quue; did you mean pool.max_queue?",
        "claude-comms.yaml:4: unknown key listen_on; `claude-comms config --default` prints all known keys",
        "claude-comms.yaml:5: unknown key auth.user; known keys: auth.mode",
        "claude-comms.yaml:6: unknown key max_instances; did you mean pool.max_instances?",
        "claude-comms.yaml:7: unknown key pol; did you mean pool?",
        "claude-comms.yaml:8: unknown key module_dir; did you mean module_dirs?",
        "claude-comms.yaml:9: unknown key claude.enviroment; did you mean claude.environment?",
        "unknown environment variable CLAUDE_COMMS_POOLS__X; `claude-comms config --default` prints",
        "unknown environment variable CLAUDE_COMMS_POOL_MAX_QUEUE; did you mean CLAUDE_COMMS_POOL__MAX_QUEUE?",
        "unknown environment variable CLAUDE_COMMS_SERVRE; did you mean CLAUDE_COMMS_SERVER?",
    ] {
        assert!(text.contains(words), "{words}\nnot in\n{text}");
    }
}

#[test]
fn every_bad_value_is_named_with_what_it_should_be() {
    let text = problems(
        "pool: {max_instances: 0, idle_timeout: soon}\nbackend: gpt\nlisten: [ftp://x, 'http://0.0.0.0:1', 'https://name:1']\n",
        &[],
    );
    assert!(text.contains("pool.max_instances must be a whole number from 1"), "{text}");
    assert!(text.contains("pool.idle_timeout must be a span of time"), "{text}");
    assert!(text.contains("claude-comms.yaml:2: backend must be claude or simulated"), "{text}");
    let level = problems("pool: 3\n", &[]);
    assert!(level.contains("claude-comms.yaml:1: pool must be a map of keys, not 3"), "{level}");
    assert!(text.contains("listen must be unix:/path"), "{text}");
    for (listen, words) in
        [("http://0.0.0.0:1", "needs TLS"), ("https://127.0.0.1:1", "tls.cert and tls.key")]
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
    let error = read(&missing, &[("HOME", "/h")]).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/x.yaml"), "{error}");
}

#[test]
fn the_clients_variables_are_ignored_and_no_one_elses_reach_a_process() {
    let pairs = [
        ("CLAUDE_COMMS_SERVER", "unix:/x"),
        ("CLAUDE_COMMS_TOKEN", "t"),
        ("CLAUDE_COMMS_TLS_CA", "/ca"),
        ("CLAUDE_COMMS_TLS_CERT", "/cert"),
        ("CLAUDE_COMMS_TLS_KEY", "/key"),
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

#[test]
fn each_setting_says_where_it_comes_from_and_shows_no_secret() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("claude-comms.yaml");
    std::fs::write(&file, "pool:\n  max_queue: 9\nclaude:\n  environment: {KEY: canary}\n").unwrap();
    let overrides =
        Overrides { config_file: Some(file.clone()), data_dir: Some("/d".into()), ..Overrides::default() };
    let loaded = read(&overrides, &[("HOME", "/h"), ("CLAUDE_COMMS_RETRY__MAX_ATTEMPTS", "2")]).unwrap();
    assert_eq!(loaded.file, ConfigFile::Read(file.clone()));
    let settings = loaded.settings();
    let shown = |key: &str| {
        let setting = settings.iter().find(|setting| setting.key == key).expect(key);
        format!("{} from {}", setting.value, setting.source)
    };
    assert_eq!(shown("pool.max_queue"), format!("9 from file {}:2", file.display()));
    assert_eq!(shown("claude.environment"), format!(r#"{{"KEY":"(set)"}} from file {}:4"#, file.display()));
    assert_eq!(shown("retry.max_attempts"), "2 from environment CLAUDE_COMMS_RETRY__MAX_ATTEMPTS");
    assert_eq!(shown("data_dir"), r#""/d" from flag --data-dir"#);
    assert_eq!(shown("pool.idle_timeout"), r#""15m" from default"#);
    assert_eq!(shown("listen"), r#"["unix:/h/.claude-comms/claude-comms.sock"] from default"#);
    assert!(!format!("{loaded:?} {settings:?}").contains("canary"));

    let absent = read(&Overrides::default(), &[("HOME", "/h")]).unwrap().file;
    assert_eq!(absent, ConfigFile::Absent("/h/.config/claude-comms/claude-comms.yaml".into()));
}

#[test]
fn the_default_file_means_exactly_the_defaults() {
    let defaults = read(&Overrides::default(), &[("HOME", "/users/nobody")]).unwrap();
    let text = config::default_file();
    assert_eq!(from_file(&text, &[], Overrides::default()).expect(&text), defaults.config);
    // What is commented out for want of a fixed default is good too.
    let all = text.lines().map(|line| {
        let bare = line.trim_start();
        let key = bare.strip_prefix("# ").filter(|rest| {
            rest.split_once(": ").is_some_and(|(key, _)| !key.contains(' ') && key != "Default")
                && !rest.starts_with("Endpoints")
        });
        key.map_or(line.to_owned(), |key| format!("{}{key}", &line[..line.len() - bare.len()]))
    });
    let all = all.collect::<Vec<_>>().join("\n");
    assert_ne!(all, text);
    from_file(&all, &[], Overrides::default()).expect(&all);
}

#[test]
fn the_documentation_has_a_row_for_every_key_and_no_other() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let text = std::fs::read_to_string(file).expect("docs/configuration.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows, config::documentation(), "copy the right side into docs/configuration.md");
}

#[test]
fn the_schema_takes_good_files_and_nothing_else() {
    let schema = jsonschema::validator_for(&config::schema()).expect("a JSON Schema");
    let valid = |text: &str| {
        let value: serde_json::Value = serde_yaml::from_str(text).expect("YAML");
        schema.is_valid(&value)
    };
    let good = "listen: [unix:/s, 'http://127.0.0.1:0']\nclaude: {environment: {A: 1, B: x}, extra_args: [a]}\n\
                pool: {max_instances: 3, idle_timeout: 1h 30m, turn_timeout: 90}\nsimulated:\nbackend: simulated\n";
    for text in [good, &config::default_file(), "module_dirs: /a,/b\n"] {
        assert!(valid(text), "{text}");
        from_file(text, &[], Overrides::default()).expect(text);
    }
    for text in [
        "pol: {max_instances: 3}\n",
        "pool: {max_instance: 3}\n",
        "pool: {max_instances: 0}\n",
        "pool: {idle_timeout: soon}\n",
        "pool: 3\n",
        "backend: gpt\n",
        "listen: ['ftp://x']\n",
        "claude: {environment: [A]}\n",
        "data_dir: ''\n",
    ] {
        assert!(!valid(text), "{text}");
        from_file(text, &[], Overrides::default()).expect_err(text);
    }
}

#[test]
fn new_settings_are_taken_where_a_running_server_can_and_named_where_not() {
    let first = from_file("pool: {max_queue: 3}\n", &[], Overrides::default()).unwrap();
    let settings = Settings::new(first.clone());
    let told = settings.subscribe();
    assert_eq!(settings.take(&first), Changes::default());
    assert!(!told.has_changed().unwrap(), "nothing changed");

    let text = "pool: {max_queue: 4}\nclaude: {environment: {KEY: new}}\nlimits: {prompt_bytes: 9}\nbackend: simulated\n";
    let second = from_file(text, &[], Overrides::default()).unwrap();
    let changes = settings.take(&second);
    assert_eq!(changes.taken, ["claude.environment", "pool.max_queue"]);
    assert_eq!(changes.restart, ["backend", "limits.prompt_bytes"]);
    assert!(told.has_changed().unwrap());
    let now = settings.now();
    assert_eq!((now.pool.max_queue, now.prompt_limit_bytes), (4, first.prompt_limit_bytes));
    assert_eq!(now.instance_environment.0.get("KEY").map(String::as_str), Some("new"));
    // What waits is named again as long as it waits, and is not taken for new.
    assert_eq!(settings.take(&second).taken, Vec::<&str>::new());
    assert_eq!(settings.take(&second).restart.len(), 2);
}

#[test]
fn a_file_that_is_no_yaml_is_not_quoted_for_a_secret_may_stand_beside_the_error() {
    let text = "claude:\n  environment:\n    KEY: canary-secret\n  model: \"not closed\n";
    let error = problems(text, &[]);
    assert!(!error.contains("canary") && error.contains("not valid YAML"), "{error}");
}
