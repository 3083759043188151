//! Starting: what the process gets, and what the starter is told when it fails.

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt as _, path::PathBuf, time::Duration};

use claude_comms_supervisor::{ExitCause, Program, Session, StartError, Stop};
use uuid::Uuid;

use crate::support::{Bench, Found, ask, fake, in_time, script};

#[tokio::test]
async fn a_started_process_names_itself_and_is_idle() {
    let bench = Bench::new();
    let process = bench.start("").await;
    let cli = Found::read(process.process_id().cast_signed()).unwrap();
    assert!(!cli.arguments.contains("__reap"), "the pid is the cli's, not the reaper's: {cli:?}");
    assert_eq!(process.cli_version(), "2.1.330");
    assert!(process.state().borrow().is_idle());
    process.stop(Stop::Graceful).await;
    bench.finish().await;
}

#[tokio::test]
async fn the_environment_has_nothing_but_what_was_given_and_the_instance_s_own() {
    let bench = Bench::new();
    let launch = fake("");
    let root = bench.directory.path().join("instances").join(&launch.instance);
    let process = bench.try_start(launch).await.unwrap();
    let environment = ask(&process, "environment").await;
    let lines: BTreeSet<&str> = environment.lines().collect();
    let own = |name: &str, dir: &str| format!("{name}={}", root.join(dir).display());
    let wanted = [
        own("HOME", "home"),
        own("CLAUDE_CONFIG_DIR", "config"),
        own("XDG_RUNTIME_DIR", "run"),
        own("TMPDIR", "tmp"),
        own("cwd", "cwd"),
        format!("INSTANCE_OWNER={}", bench.owner),
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "DISABLE_TELEMETRY=1".to_owned(),
        "DISABLE_ERROR_REPORTING=1".to_owned(),
        "DISABLE_AUTOUPDATER=1".to_owned(),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1".to_owned(),
        "CLAUDE_CODE_MAX_RETRIES=3".to_owned(),
        "FAKE_CLI=".to_owned(),
    ];
    assert_eq!(lines, wanted.iter().map(String::as_str).collect());
    for dir in ["", "home", "config", "run", "tmp", "cwd"] {
        assert_eq!(fs::metadata(root.join(dir)).unwrap().mode() & 0o777, 0o700, "{dir}");
    }
    assert_eq!(fs::read_dir(root.join("cwd")).unwrap().count(), 0);
    process.stop(Stop::Now).await;
    bench.finish().await;
}

#[tokio::test]
async fn a_prompt_is_in_no_process_s_arguments() {
    let bench = Bench::new();
    let mut launch = fake("");
    // Larger than an argument may be.
    launch.system_prompt = Some("a secret system prompt ".repeat(20_000));
    let process = bench.try_start(launch).await.unwrap();
    ask(&process, "a secret user prompt").await;
    let processes = bench.processes();
    assert_eq!(processes.len(), 2);
    for found in processes {
        assert!(found.arguments.contains("--session-id") && !found.arguments.contains("secret"), "{found:?}");
    }
    process.stop(Stop::Now).await;
    bench.finish().await;
}

#[tokio::test]
async fn a_process_that_dies_during_its_start_says_why() {
    let bench = Bench::new();
    match bench.try_start(fake("exit 3")).await {
        Err(StartError::Exited { code, stderr }) => {
            assert_eq!((code, stderr.as_str()), (Some(3), "fake cli: leaving with 3\n"));
        }
        other => panic!("{other:?}"),
    }
    bench.finish().await;
}

#[tokio::test]
async fn a_process_that_does_not_answer_is_ended_in_time() {
    let bench = Bench::with(|options| options.initialize_timeout = Duration::from_millis(300));
    match bench.try_start(fake("silent deaf tree")).await {
        Err(error @ StartError::Timeout { .. }) => {
            assert!(
                error.to_string().contains("0.3 s") && error.to_string().contains("not answering"),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.processes(), []);
    bench.finish().await;
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing() {
    let bench = Bench::new();
    let start = bench.supervisor.start(fake("silent deaf tree"));
    tokio::time::timeout(Duration::from_millis(100), start).await.unwrap_err();
    bench.finish().await;
}

#[tokio::test]
async fn a_refused_initialize_is_a_protocol_error() {
    let bench = Bench::new();
    match bench.try_start(fake("refuse")).await {
        Err(StartError::Protocol { message, .. }) => assert_eq!(message, "initialize was refused: no"),
        other => panic!("{other:?}"),
    }
    bench.finish().await;
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_named() {
    let bench = Bench::new();
    let missing = PathBuf::from("/nonexistent/claude");
    let plain = bench.directory.path().join("plain");
    fs::write(&plain, "no program").unwrap();
    let orphaned = bench.directory.path().join("orphaned");
    script(&orphaned, "#!/nonexistent/interpreter\n");
    for (binary, is_missing) in [(missing, true), (plain, false), (orphaned, false)] {
        let mut launch = fake("");
        launch.program = Program::Claude { binary: binary.clone() };
        let error = bench.try_start(launch).await.unwrap_err();
        assert!(error.to_string().contains(binary.to_str().unwrap()), "{error}");
        match error {
            StartError::NotFound { .. } => assert!(is_missing),
            StartError::NotExecutable { .. } => assert!(!is_missing),
            other => panic!("{other:?}"),
        }
    }
    bench.finish().await;
}

#[tokio::test]
async fn a_missing_reaper_is_named() {
    let bench = Bench::with(|options| options.reaper = "/nonexistent/reaper".into());
    let error = bench.try_start(fake("")).await.unwrap_err();
    assert!(
        matches!(error, StartError::Spawn { .. }) && error.to_string().contains("/nonexistent/reaper"),
        "{error}"
    );
}

#[tokio::test]
async fn an_instance_s_name_cannot_lead_elsewhere() {
    let bench = Bench::new();
    let mut launch = fake("");
    launch.instance = "../elsewhere".into();
    let error = bench.try_start(launch).await.unwrap_err();
    assert!(matches!(error, StartError::InvalidInstance { .. }), "{error}");
    assert!(bench.supervisor.remove_instance_dir("../elsewhere").is_err());
}

#[tokio::test]
async fn a_transcript_is_lent_before_the_start() {
    let bench = Bench::new();
    let kept = bench.directory.path().join("kept.jsonl");
    fs::write(&kept, "{}\n").unwrap();
    let session = Uuid::new_v4();
    let mut launch = fake("");
    launch.session =
        Session::Fork { from: session, at_assistant: Uuid::new_v4().to_string(), id: Uuid::new_v4() };
    launch.transcript = Some(kept.clone());
    let instance = launch.instance.clone();
    let process = bench.try_start(launch.clone()).await.unwrap();
    let lent = bench.supervisor.session_file(&instance, session);
    assert!(
        lent.ends_with(format!("{session}.jsonl")) && lent.starts_with(bench.directory.path()),
        "{lent:?}"
    );
    assert_eq!(fs::metadata(lent).unwrap().ino(), fs::metadata(kept).unwrap().ino());
    process.stop(Stop::Now).await;

    launch.transcript = Some("/nonexistent/transcript".into());
    let error = bench.try_start(launch).await.unwrap_err();
    assert!(matches!(error, StartError::Transcript { .. }), "{error}");
    bench.supervisor.remove_instance_dir(&instance).unwrap();
    assert!(!bench.directory.path().join("instances").join(instance).exists());
    bench.finish().await;
}

#[tokio::test]
async fn many_processes_start_at_once() {
    let bench = Bench::new();
    let starts: Vec<_> = (0..20)
        .map(|_| {
            let supervisor = bench.supervisor.clone();
            bench.tracker.spawn(async move { supervisor.start(fake("")).await.unwrap() })
        })
        .collect();
    let mut processes = Vec::new();
    for start in starts {
        processes.push(in_time("a start", start).await.unwrap());
    }
    // Each ends alone: nobody holds a copy of another's life pipe.
    for process in processes {
        assert_eq!(in_time("a stop", process.stop(Stop::Now)).await.cause, ExitCause::Killed);
        assert!(Found::read(process.process_id().cast_signed()).is_none());
    }
    bench.finish().await;
}
