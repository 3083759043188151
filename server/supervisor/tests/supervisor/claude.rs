//! The real CLI, against a stand-in of the API: what the made-up one cannot prove. Needs the path of a
//! `claude` binary in `CLAUDE_COMMS_TEST_CLAUDE`.

use std::{collections::BTreeMap, fs, path::PathBuf};

use claude_comms_stream_json::turn::{Outcome, TurnUpdate};
use claude_comms_supervisor::{
    ExitCause, Launch, Process, Program, Session, StartError, Stop, TurnUpdates, probe_version,
};
use rustix::process::Signal;
use uuid::Uuid;

use crate::{
    messages_api::{MessagesApi, UNENDING},
    support::{Bench, ask, exited, finish, in_time, kill, send},
};

struct Claude {
    bench: Bench,
    api: MessagesApi,
    binary: PathBuf,
}

impl Claude {
    /// `None`, and a line that says so, where there is no CLI to test with.
    fn new() -> Option<Self> {
        let Some(binary) = std::env::var_os("CLAUDE_COMMS_TEST_CLAUDE") else {
            println!("skipped: CLAUDE_COMMS_TEST_CLAUDE does not name a claude binary");
            return None;
        };
        Some(Self { bench: Bench::new(), api: MessagesApi::start(), binary: binary.into() })
    }

    fn launch(&self, instance: &str, session: Session) -> Launch {
        let environment =
            [("ANTHROPIC_API_KEY", "sk-ant-made-up"), ("ANTHROPIC_BASE_URL", &self.api.address)];
        Launch {
            instance: instance.into(),
            program: Program::Claude { binary: self.binary.clone() },
            session,
            transcript: None,
            model: Some("claude-sonnet-4-5".into()),
            system_prompt: Some("You are a made-up assistant.".into()),
            environment: BTreeMap::from(environment.map(|(name, value)| (name.to_owned(), value.to_owned()))),
            extra_args: Vec::new(),
        }
    }

    async fn start(&self, instance: &str, session: Session) -> Process {
        self.bench.try_start(self.launch(instance, session)).await.unwrap()
    }
}

async fn until_text(updates: &mut TurnUpdates) {
    let is_text = |update: &TurnUpdate| matches!(update, TurnUpdate::Text(_));
    while !in_time("some text", updates.next()).await.unwrap().iter().any(is_text) {}
}

#[tokio::test]
async fn a_turn_through_the_real_cli() {
    let Some(claude) = Claude::new() else { return };
    let version = in_time("the probe", probe_version(&claude.binary)).await.unwrap();
    let id = Uuid::new_v4();
    let process = claude.start("a", Session::New { id }).await;
    assert_eq!(process.cli_version(), version.to_string());
    let arguments = fs::read(format!("/proc/{}/cmdline", process.process_id())).unwrap();
    assert!(String::from_utf8(arguments).unwrap().contains(&id.to_string()), "the pid is the cli's");

    // Verbatim, though it looks like a command and a file.
    assert_eq!(ask(&process, "/clear @/etc/passwd").await, "echo: /clear @/etc/passwd");
    assert_eq!(ask(&process, "again").await, "echo: again");
    let request = claude.api.last_request();
    assert!(request["system"].to_string().contains("You are a made-up assistant."), "{}", request["system"]);
    assert_eq!(request["tools"].as_array().map_or(0, Vec::len), 0, "{}", request["tools"]);
    assert_eq!(request["messages"].as_array().unwrap().len(), 3);

    let exit = in_time("the stop", process.stop(Stop::Graceful)).await;
    assert_eq!((exit.code, exit.cause, exit.stderr.as_str()), (Some(0), ExitCause::Stopped, ""));
    assert!(fs::read_to_string(claude.bench.supervisor.session_file("a", id)).unwrap().contains("again"));
    claude.bench.finish().await;
}

#[tokio::test]
async fn a_parked_cli_is_claimed_with_its_prompt_and_one_that_nobody_claims_ends_at_once() {
    let Some(claude) = Claude::new() else { return };
    let launch = |name: &str| claude.launch(name, Session::New { id: Uuid::new_v4() });
    let spare = in_time("park", claude.bench.supervisor.park(launch("a"))).await.unwrap();
    let unused = in_time("park", claude.bench.supervisor.park(launch("b"))).await.unwrap();
    in_time("claim", spare.claim(Some("You were parked."), std::time::Duration::from_secs(20)))
        .await
        .unwrap();
    assert_eq!(ask(&spare, "hello").await, "echo: hello");
    let request = claude.api.last_request();
    assert!(request["system"].to_string().contains("You were parked."), "{}", request["system"]);
    assert_eq!(request["messages"].as_array().unwrap().len(), 1);
    let exit = in_time("the stop", unused.stop(Stop::Graceful)).await;
    assert_eq!(exit.cause, ExitCause::Stopped, "{exit:?}");
    println!("a parked cli that is stopped: {exit:?}");
    spare.stop(Stop::Graceful).await;
    claude.bench.finish().await;
}

#[tokio::test]
async fn a_killed_cli_is_resumed_in_another_instance_with_its_history() {
    let Some(claude) = Claude::new() else { return };
    let id = Uuid::new_v4();
    let process = claude.start("a", Session::New { id }).await;
    ask(&process, "remember the heron").await;
    let mut updates = send(&process, UNENDING).await;
    until_text(&mut updates).await;
    kill(process.process_id().cast_signed(), Signal::KILL);
    assert_eq!(finish(&mut updates).await, None);
    let exit = exited(&process).await;
    assert_eq!((exit.code, exit.cause), (Some(137), ExitCause::Crashed));

    let transcript = claude.bench.supervisor.session_file("a", id);
    let mut launch = claude.launch("b", Session::Resume { id });
    launch.transcript = Some(transcript.clone());
    launch.system_prompt = Some("You are another one.".into());
    let process = claude.bench.try_start(launch).await.unwrap();
    assert_eq!(ask(&process, "what was it?").await, "echo: what was it?");
    let request = claude.api.last_request();
    assert!(request["messages"].to_string().contains("remember the heron"), "{}", request["messages"]);
    assert!(request["system"].to_string().contains("You are another one."), "{}", request["system"]);
    process.stop(Stop::Graceful).await;
    // Lent, not given away: the lender's file has the new turn too.
    assert!(fs::read_to_string(transcript).unwrap().contains("what was it?"));
    claude.bench.finish().await;
}

#[tokio::test]
async fn a_fork_has_the_history_up_to_the_answer_it_names() {
    let Some(claude) = Claude::new() else { return };
    let (from, id) = (Uuid::new_v4(), Uuid::new_v4());
    let process = claude.start("a", Session::New { id: from }).await;
    let mut updates = send(&process, "the first").await;
    let mut at_assistant = None;
    while let Some(batch) = in_time("the first turn", updates.next()).await {
        if let Some(TurnUpdate::End(end)) = batch.last() {
            at_assistant = end.last_assistant_uuid.clone();
        }
    }
    let at_assistant = at_assistant.unwrap();
    ask(&process, "the second").await;

    let transcript = claude.bench.supervisor.session_file("a", from);
    let mut launch = claude.launch("b", Session::Fork { from, at_assistant, id });
    launch.transcript = Some(transcript.clone());
    let fork = claude.bench.try_start(launch.clone()).await.unwrap();
    ask(&fork, "the third").await;
    let messages = claude.api.last_request()["messages"].to_string();
    assert!(messages.contains("the first") && !messages.contains("the second"), "{messages}");
    in_time("the stop", fork.stop(Stop::Graceful)).await;
    assert!(claude.bench.supervisor.session_file("b", id).exists());
    assert!(!fs::read_to_string(transcript).unwrap().contains("the third"));

    launch.instance = "c".into();
    launch.session = Session::Fork { from, at_assistant: Uuid::new_v4().to_string(), id: Uuid::new_v4() };
    let error = claude.bench.try_start(launch).await.unwrap_err();
    assert!(matches!(error, StartError::SessionNotFound { session, .. } if session == from), "{error}");
    in_time("the stop", process.stop(Stop::Now)).await;
    claude.bench.finish().await;
}

#[tokio::test]
async fn sessions_that_are_missing_or_taken_are_told_apart() {
    let Some(claude) = Claude::new() else { return };
    let id = Uuid::new_v4();
    let missing = claude.bench.try_start(claude.launch("a", Session::Resume { id })).await.unwrap_err();
    assert!(matches!(missing, StartError::SessionNotFound { session, .. } if session == id), "{missing}");

    let process = claude.start("a", Session::New { id }).await;
    ask(&process, "hello").await;
    in_time("the stop", process.stop(Stop::Graceful)).await;
    let taken = claude.bench.try_start(claude.launch("a", Session::New { id })).await.unwrap_err();
    assert!(matches!(taken, StartError::SessionInUse { session, .. } if session == id), "{taken}");
    claude.bench.finish().await;
}

#[tokio::test]
async fn the_real_cli_is_interrupted_paused_and_continued() {
    let Some(claude) = Claude::new() else { return };
    let process = claude.start("a", Session::New { id: Uuid::new_v4() }).await;
    let mut updates = send(&process, UNENDING).await;
    until_text(&mut updates).await;
    process.interrupt().await.unwrap();
    assert_eq!(finish(&mut updates).await, Some(Outcome::Aborted));
    process.pause().await.unwrap();
    process.resume().await.unwrap();
    assert!(ask(&process, "still there?").await.contains("still there?"));
    process.pause().await.unwrap();
    let exit = in_time("the stop", process.stop(Stop::Graceful)).await;
    assert_eq!((exit.code, exit.cause), (Some(0), ExitCause::Stopped));
    claude.bench.finish().await;
}

#[tokio::test]
async fn an_oauth_token_alone_is_used_without_bare_and_prompts_stay_verbatim() {
    let Some(claude) = Claude::new() else { return };
    let id = Uuid::new_v4();
    let mut launch = claude.launch("a", Session::New { id });
    launch.environment.remove("ANTHROPIC_API_KEY");
    launch.environment.insert("CLAUDE_CODE_OAUTH_TOKEN".into(), "sk-ant-oat01-made-up".into());
    let process = claude.bench.try_start(launch.clone()).await.unwrap();
    assert!(ask(&process, "/clear @/etc/passwd").await.starts_with("echo: "));
    let messages = claude.api.last_request()["messages"].to_string();
    assert!(messages.contains("/clear @/etc/passwd") && !messages.contains("root:"), "{messages}");
    in_time("the stop", process.stop(Stop::Graceful)).await;

    launch.session = Session::Resume { id };
    launch.system_prompt = Some("You are another one.".into());
    let process = claude.bench.try_start(launch).await.unwrap();
    ask(&process, "again").await;
    let request = claude.api.last_request();
    assert!(request["system"].to_string().contains("You are another one."), "{}", request["system"]);
    assert!(request["messages"].to_string().contains("/clear @/etc/passwd"), "{}", request["messages"]);
    in_time("the stop", process.stop(Stop::Graceful)).await;
    claude.bench.finish().await;
}

#[tokio::test]
async fn the_real_cli_tells_its_status_idle_and_in_a_turn_without_a_call() {
    let Some(claude) = Claude::new() else { return };
    let process = claude.start("status", Session::New { id: Uuid::new_v4() }).await;
    let limit = std::time::Duration::from_secs(10);
    let report = process.status(limit).await.unwrap();
    let answer = report.answer.expect("2.1.330 knows the request");
    assert_eq!(answer.credential(), Some("ANTHROPIC_API_KEY"));
    assert_eq!(answer.row("Version"), Some(process.cli_version()));
    assert_eq!(claude.api.count(), 0, "it costs no call");
    let mut updates = send(&process, UNENDING).await;
    until_text(&mut updates).await;
    let reader = claude.bench.tracker.spawn(async move { while updates.next().await.is_some() {} });
    for _ in 0..3 {
        let report = process.status(limit).await.unwrap();
        println!("answered in {:?} during a turn", report.response_time);
    }
    let facts = process.vitals().facts().unwrap();
    println!("{facts:?}");
    assert!(facts.pss_bytes > 20 << 20 && facts.rss_bytes >= facts.pss_bytes, "{facts:?}");
    process.stop(Stop::Now).await;
    in_time("the reader", reader).await.unwrap();
    claude.bench.finish().await;
}
