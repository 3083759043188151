//! What a CLI sees of the machine: its own empty directories, and of the server's environment no more than it needs.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::Path};

use super::stage::{Stage, assert_answer};

fn environment(pid: u32) -> BTreeMap<String, String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let variables = environment.split(|byte| *byte == 0).filter(|variable| !variable.is_empty());
    variables
        .map(|variable| {
            let (name, value) = std::str::from_utf8(variable).unwrap().split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_the_allow_list_and_what_the_configuration_adds() {
    let stage = Stage::with(|builder| {
        builder
            .environment("AWS_SECRET_ACCESS_KEY", "secret")
            .environment("CLAUDECODE", "1")
            .environment("CLAUDE_CODE_ENTRYPOINT", "cli")
            .environment("NODE_OPTIONS", "--inspect")
            .environment("EDITOR", "vi")
            .environment("TZ", "UTC")
            .environment("no_proxy", "127.0.0.1")
            .configuration("claude: {environment: {MCP_TOOL_TIMEOUT: '5000'}}")
    })
    .await;
    stage.start_instance("confined", "").await;
    let seen = environment(stage.claude_pid());
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    let expected = [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "CLAUDE_CODE_MAX_RETRIES",
        "CLAUDE_CONFIG_DIR",
        "DISABLE_AUTOUPDATER",
        "DISABLE_ERROR_REPORTING",
        "DISABLE_TELEMETRY",
        "HOME",
        "INSTANCE_OWNER",
        "LANG",
        "MCP_TOOL_TIMEOUT",
        "PATH",
        "TMPDIR",
        "TZ",
        "XDG_RUNTIME_DIR",
        "no_proxy",
    ];
    assert_eq!(names, expected);
    let own = stage.server.data_dir().join("instances");
    for name in ["HOME", "CLAUDE_CONFIG_DIR", "TMPDIR", "XDG_RUNTIME_DIR"] {
        assert!(Path::new(&seen[name]).starts_with(&own), "{name}={}", seen[name]);
    }
    stage.query("confined", "works").await.unwrap().to_end().await;
    assert_eq!(stage.api.unexpected(), Vec::<String>::new(), "no call but for the turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directories_are_private_and_the_working_directory_stays_empty() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    let claude = stage.claude_pid();
    let working = fs::read_link(format!("/proc/{claude}/cwd")).unwrap();
    let instances = stage.server.data_dir().join("instances");
    assert!(working.starts_with(&instances), "{}", working.display());
    assert_eq!(fs::read_dir(&working).unwrap().count(), 0);
    let instance = working.parent().unwrap();
    let seen = environment(claude);
    let directories =
        ["HOME", "CLAUDE_CONFIG_DIR", "TMPDIR", "XDG_RUNTIME_DIR"].map(|name| seen[name].clone());
    let directories = directories.iter().map(Path::new).chain([working.as_path(), instance, &instances]);
    for directory in directories.chain([stage.server.data_dir().as_path()]) {
        let mode = fs::metadata(directory).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}: {mode:o}", directory.display());
    }
    for (file, content) in stage.session_files() {
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o077, 0, "{}", file.display());
        assert!(!content.contains("made-up"), "no key on disk");
    }
    for descriptor in fs::read_dir(format!("/proc/{claude}/fd")).unwrap() {
        let Ok(target) = fs::read_link(descriptor.unwrap().path()) else { continue };
        let ours = target.starts_with(stage.server.world().root()) && !target.starts_with(instance);
        assert!(!ours, "an open file of the server: {}", target.display());
    }
}
