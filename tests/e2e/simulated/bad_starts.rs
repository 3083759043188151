//! A server that cannot start says which setting, file or place is wrong and what to do, and leaves all as it was.

use std::{fs, net::TcpListener, os::unix::fs::DirBuilderExt as _, path::Path};

use claude_comms_tests::{Ran, TestServer, processes::Kind, server::Builder};

/// Starts a server that must not start; returns what it said.
async fn refused(builder: Builder, code: i32, words: &[&str]) -> Ran {
    let (ran, world) = builder.try_start().await.expect_err("it must not start");
    assert_eq!(ran.code, Some(code), "{ran:#?}");
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in:\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked") && !ran.stdout.contains("listening"), "{ran:#?}");
    let socket = world.socket();
    assert!(!socket.exists() || fs::metadata(&socket).unwrap().is_file(), "no socket is left");
    ran
}

#[tokio::test]
async fn unknown_settings_are_named_with_what_was_meant() {
    let misspelt = TestServer::simulated().configuration("pool:\n  max_instance: 3\nretri: {}\n");
    refused(
        misspelt,
        2,
        &["claude-comms.yaml", "pool.max_instance", "did you mean pool.max_instances?", "retri"],
    )
    .await;
    let variable = TestServer::simulated().environment("CLAUDE_COMMS_POOL__MAX_QUEU", "3");
    refused(variable, 2, &["CLAUDE_COMMS_POOL__MAX_QUEU", "did you mean"]).await;
    let variable = TestServer::simulated().environment("CLAUDE_COMMS_NONSENSE_AND_MORE", "3");
    refused(variable, 2, &["CLAUDE_COMMS_NONSENSE_AND_MORE", "known keys"]).await;
}

#[tokio::test]
async fn bad_values_are_named_all_at_once() {
    let yaml = "pool: {max_instances: 0, idle_timeout: soon}\nretry: {max_attempts: many}\nauth: {mode: maybe}\n\
                backend: gpt\nlimits: {prompt_bytes: -1}\nlisten: 7\n";
    let words = [
        "pool.max_instances must be a whole number from 1",
        "pool.idle_timeout must be a span of time",
        "retry.max_attempts must be",
        "auth.mode must be token or none",
        "backend must be claude or simulated",
        "limits.prompt_bytes must be",
        "listen must be",
    ];
    refused(TestServer::simulated().configuration(yaml), 2, &words).await;
    refused(TestServer::backend("gpt"), 2, &["--backend", "claude or simulated"]).await;
    let variable = TestServer::simulated().environment("CLAUDE_COMMS_POOL__MAX_QUEUE", "lots");
    refused(variable, 2, &["CLAUDE_COMMS_POOL__MAX_QUEUE", "whole number"]).await;
}

#[tokio::test]
async fn a_configuration_file_that_is_missing_or_no_yaml_is_named() {
    let missing = TestServer::simulated().arguments(&["--config", "/nonexistent/cc.yaml"]);
    refused(missing, 2, &["/nonexistent/cc.yaml", "No such file"]).await;
    for yaml in ["pool: [", "- just\n- a list\n", "pool: {a: 1\n"] {
        refused(TestServer::simulated().configuration(yaml), 2, &["claude-comms.yaml", "YAML"]).await;
    }
    let scenario = TestServer::simulated().scenario(Path::new("/nonexistent/scenario.yaml"));
    refused(scenario, 1, &["/nonexistent/scenario.yaml", "No such file"]).await;
}

#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() {
    let server = TestServer::simulated()
        .configuration("backend: claude\npool: {max_instances: 3, max_queue: 3, turn_timeout: 3s}\n")
        .environment("CLAUDE_COMMS_POOL__MAX_QUEUE", "4")
        .environment("CLAUDE_COMMS_POOL__TURN_TIMEOUT", "4s")
        // The client's variables are none of the server's business.
        .environment("CLAUDE_COMMS_OUTPUT", "xml")
        .start()
        .await;
    let status = server.cli(&["status", "--output", "json"]).await.expect(0).json();
    let effective = ["backend", "maxInstances", "maxQueue", "turnTimeout"].map(|key| status[key].clone());
    assert_eq!(serde_json::json!(effective), serde_json::json!(["simulated", 3, 4, "4s"]), "{status}");
}

fn occupy(path: &Path, content: &[u8]) {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_is_named() {
    let builder = TestServer::simulated();
    let place = builder.world().data_dir();
    occupy(&place, b"a file");
    refused(builder, 1, &["data directory", &place.to_string_lossy()]).await;
    assert!(!place.exists(), "the world is gone with its test");
}

#[tokio::test]
async fn a_store_that_is_no_store_is_refused_and_left_as_it_is() {
    for content in [&b"this is no database"[..], &[0; 8192]] {
        let builder = TestServer::simulated();
        let store = builder.world().data_dir().join("store.redb");
        occupy(&store, content);
        let (ran, world) = builder.try_start().await.expect_err("it must not start");
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        let path = store.to_string_lossy();
        for word in [&*path, "left untouched", "backup"] {
            assert!(ran.stderr.contains(word), "no {word:?} in:\n{}", ran.stderr);
        }
        assert_eq!(fs::read(&store).unwrap(), content);
        drop(world);
    }
}

/// The command of a second server in the world of the first.
async fn second(server: &TestServer, arguments: &[&str]) -> Ran {
    let arguments = [&["serve", "--backend", "simulated"], arguments].concat();
    server.cli(&arguments).await
}

#[tokio::test]
async fn a_data_directory_in_use_is_refused_with_its_holder() {
    let server = TestServer::simulated().start().await;
    let data = server.data_dir().to_string_lossy().into_owned();
    let listen = format!("unix:{}", server.world().root().join("other.sock").display());
    let ran = second(&server, &["--data-dir", &data, "--listen", &listen]).await.expect(1);
    assert!(ran.stderr.contains(&data) && ran.stderr.contains("in use"), "{}", ran.stderr);
    assert!(ran.stderr.contains(&server.pid().to_string()), "it names the process: {}", ran.stderr);
    let _ = server.cli(&["status"]).await.expect(0);
}

#[tokio::test]
async fn endpoints_in_use_are_refused_and_their_owner_goes_on() {
    let server = TestServer::simulated().start().await;
    let data = server.world().root().join("other").to_string_lossy().into_owned();
    let live = server.unix().to_owned();
    let ran = second(&server, &["--data-dir", &data, "--listen", &live]).await.expect(1);
    assert!(ran.stderr.contains(&live) && ran.stderr.contains("in use"), "{}", ran.stderr);
    let _ = server.cli(&["status"]).await.expect(0);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("http://{}", taken.local_addr().unwrap());
    refused(TestServer::simulated().listen(&port), 1, &[&port, "in use", "--listen"]).await;
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_another_file_is_not() {
    let mut server = TestServer::simulated().start().await;
    server.kill9().await;
    assert!(server.world().socket().exists(), "a killed server leaves its socket");
    server.restart().await;
    let _ = server.cli(&["status"]).await.expect(0);

    let builder = TestServer::simulated();
    let socket = builder.world().socket();
    occupy(&socket, b"precious");
    let (ran, world) = builder.try_start().await.expect_err("it must not start");
    assert!(ran.code == Some(1) && ran.stderr.contains("is not a socket"), "{ran:#?}");
    assert_eq!(fs::read(&socket).unwrap(), b"precious");
    drop(world);
}

#[tokio::test]
async fn what_others_could_reach_is_refused_with_the_reason() {
    for endpoint in ["http://0.0.0.0:0", "http://192.0.2.1:7070", "http://[::]:0"] {
        refused(TestServer::simulated().listen(endpoint), 2, &[endpoint, "TLS", "127.0.0.1"]).await;
    }
    for endpoint in ["127.0.0.1:7070", "unix:relative", "http://127.0.0.1", "ftp://x"] {
        refused(TestServer::simulated().listen(endpoint), 2, &[endpoint]).await;
    }
}

#[tokio::test]
async fn a_socket_directory_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let builder = TestServer::simulated();
    let directory = builder.world().socket().parent().unwrap().to_path_buf();
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    refused(builder, 1, &[&directory.to_string_lossy(), "0700"]).await;
}

#[tokio::test]
async fn a_data_directory_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let builder = TestServer::simulated();
    let directory = builder.world().data_dir();
    fs::create_dir_all(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o775)).unwrap();
    refused(builder, 1, &[&directory.to_string_lossy(), "0775", "chmod 700"]).await;
}

#[tokio::test]
async fn a_new_store_is_created_and_an_old_one_opened_without_a_word() {
    let mut server = TestServer::simulated().start().await;
    server.kill9().await;
    server.restart().await;
    let log = server.log();
    assert_eq!(log.matches("store created").count(), 1, "{log}");
    assert!(!log.contains("migrated"), "{log}");
}

#[tokio::test]
async fn a_server_that_could_not_start_leaves_no_process() {
    let server = TestServer::simulated().start().await;
    let data = server.data_dir().to_string_lossy().into_owned();
    let _ = second(&server, &["--data-dir", &data]).await.expect(1);
    let servers = server.processes().of(Kind::Server);
    assert_eq!(servers.iter().map(|p| p.pid).collect::<Vec<_>>(), [server.pid()]);
}
