//! `claude.config_dir`: an operator's own login. It is used as it is, and left as it was.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use claude_comms_proto::v1::StopMode;
use claude_comms_tests::{TestServer, messages_api::Authentication};
use serde_json::json;

use super::{assert_no_canary, plant};
use crate::real_cli::stage::{Stage, assert_answer};

/// A directory as somebody has it who has logged in.
fn logged_in(directory: &Path, ran: &Path) {
    plant(directory, ran);
    fs::create_dir(ran).unwrap();
    let tomorrow =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_secs(86_400);
    let login = json!({ "claudeAiOauth": {
        "accessToken": "sk-ant-oat01-own",
        "refreshToken": "sk-ant-ort01-own",
        "expiresAt": u64::try_from(tomorrow.as_millis()).unwrap(),
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }});
    fs::write(directory.join(".credentials.json"), login.to_string()).unwrap();
    let touch = ran.join("mcp");
    let state = json!({ "mcpServers": { "canary": { "command": "touch", "args": [touch] } } });
    fs::write(directory.join(".claude.json"), state.to_string()).unwrap();
    fs::create_dir(directory.join("projects")).unwrap();
    fs::set_permissions(directory.join("projects"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What must be the same afterwards: modes, and the content of what the CLI itself does not write.
fn state_of(directory: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let content = if path.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if path.ends_with(".claude.json") {
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(path.clone(), (fs::metadata(&path).unwrap().mode(), content));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_login_is_used_and_its_directory_left_as_it_was() {
    let mut own = PathBuf::new();
    let mut ran = PathBuf::new();
    let mut stage = Stage::with(|builder| {
        own = builder.world().root().join("own");
        ran = builder.world().root().join("ran");
        fs::create_dir(&own).unwrap();
        logged_in(&own, &ran);
        let configuration = format!("claude: {{config_dir: '{}'}}", own.display());
        builder.without_environment("ANTHROPIC_API_KEY").configuration(configuration)
    })
    .await;
    let log = stage.server.log();
    assert!(log.contains("claude.config_dir") && log.contains("claude setup-token"), "a warning: {log}");
    assert!(!log.contains("NOT_LOGGED_IN"), "{log}");
    let before = state_of(&own);
    let mode = fs::metadata(&own).unwrap().mode();

    stage.start_instance("one", "Ours.").await;
    stage.query("one", "first").await.unwrap().to_end().await;
    // Its memory is found there again, by a new process and by a new server.
    stage.kill_claude().await;
    stage.query("one", "second").await.unwrap().to_end().await;
    stage.crash().await;
    stage.restart().await;
    let mut heard = stage.query("one", "third").await.unwrap();
    heard.to_end().await;
    assert_answer(&heard, "third");
    let requests = stage.api.requests();
    assert_eq!(requests.last().unwrap().user_texts(), ["first", "second", "third"]);
    for request in &requests {
        assert_eq!(request.authentication, Authentication::Bearer);
        assert_eq!(request.system_texts().last().map(String::as_str), Some("Ours."));
    }
    assert_no_canary(&requests);
    assert_eq!(fs::read_dir(&ran).unwrap().count(), 0, "no hook and no server of the operator was run");
    let sessions = |directory: &Path| {
        state_of(directory).into_keys().filter(|file| file.extension().is_some_and(|e| e == "jsonl")).count()
    };
    let kept = sessions(&own.join("projects"));
    assert!(kept > 0, "the sessions are there");
    assert_eq!(stage.session_files(), [], "and not with the instance");

    stage.stop_instance("one", StopMode::Now).await;
    assert_eq!(stage.server.terminate().await.code, Some(0));
    let after = state_of(&own);
    for (path, was) in &before {
        assert_eq!(after.get(path), Some(was), "{}", path.display());
    }
    assert_eq!(fs::metadata(&own).unwrap().mode(), mode);
    assert_eq!(sessions(&own.join("projects")), kept, "our cleanup removes nothing of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_not_there_keeps_the_server_from_starting() {
    for place in ["/nonexistent/login", "/etc/hostname"] {
        let builder = TestServer::backend("claude").configuration(format!("claude: {{config_dir: {place}}}"));
        let (ran, _world) = builder.try_start().await.expect_err("it must not start");
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("claude.config_dir"), "{}", ran.stderr);
    }
}
