//! Every call and command about instances and turns, in every state they can be in: what is answered is a table. A call that
//! is refused changes nothing: all refusals of a state are tried on one and the same instance.

use std::fmt::Write as _;

use claude_comms_proto::v1::InstanceState;
use claude_comms_tests::{Client, processes};
use rustix::process::Signal;
use tokio::task::{JoinSet, LocalSet};

use super::{
    calls,
    support::{TURNS, await_state, pause, start_with_module, try_stop},
};
use crate::simulated::support::{completed, playing_turns, submit, submit_running};

/// The columns. `pausing` is busy and will be paused; `paused` has a turn that waits; the process of `exited` was killed.
const STATES: [&str; 8] = ["unknown", "idle", "busy", "pausing", "paused", "exited", "stopped", "draining"];

/// What each call answers in each state: `ok`, `waits`, or the code and the reason. A command's is its exit code and the
/// reason. Several calls have the same row.
const EXPECTED: &[(&[&str], [&str; 8])] = &[
    (&["GetInstance"], [NO_INSTANCE, "ok", "ok", "ok", "ok", "ok", "ok", "ok"]),
    (&["StartInstance"], [NO_CONVERSATION, SERVED, SERVED, SERVED, SERVED, SERVED, "ok", DRAINING]),
    (&["MonitorInstance"], [NO_INSTANCE, "ok", "ok", "ok", "ok", "ok", "ok", "ok"]),
    (&["WatchConversation"], [NO_CONVERSATION, "ok", "ok", "ok", "ok", "ok", "ok", "ok"]),
    (&["StopInstance"], [NO_INSTANCE, "ok", "ok", "ok", "ok", "ok", "ok", "ok"]),
    (&["PauseInstance", "ResumeInstance"], [NO_INSTANCE, "ok", "ok", "ok", "ok", "ok", STOPPED, DRAINING]),
    (&["InterruptInstance"], [NO_INSTANCE, NOT_BUSY, "ok", "ok", NOT_BUSY, NOT_BUSY, STOPPED, "ok"]),
    (
        &["QueryInstance", "SubmitMessage to the instance"],
        [NO_INSTANCE, "ok", "ok", PAUSED, PAUSED, "ok", STOPPED, DRAINING],
    ),
    (
        &["SendMessage", "SubmitMessage", "QueryModule", "SubmitModuleQuery"],
        [NO_CONVERSATION, "ok", "ok", PAUSED, PAUSED, "ok", "ok", DRAINING],
    ),
    (&["GetTurn", "WatchTurn"], [NO_TURN, "ok", "ok", "ok", "ok", "ok", "ok", "ok"]),
    (&["WaitTurn"], [NO_TURN, "ok", "waits", "waits", "waits", "ok", "ok", "waits"]),
    (&["CancelTurn"], [NO_TURN, ENDED, "ok", "ok", "ok", ENDED, ENDED, "ok"]),
    (&["UpgradeConversation"], [NO_CONVERSATION, "ok", "ok", "ok", "ok", "ok", "ok", "ok"]),
    (&["show-instance"], ["4 INSTANCE_NOT_FOUND", "ok", "ok", "ok", "ok", "ok", "ok", "ok"]),
    (&["stop-instance"], ["4 INSTANCE_NOT_FOUND", "ok", "ok", "ok", "ok", "ok", "ok", "ok"]),
    (
        &["pause-instance", "resume-instance"],
        ["4 INSTANCE_NOT_FOUND", "ok", "ok", "ok", "ok", "ok", "1 INSTANCE_STOPPED", "3 DRAINING"],
    ),
    (
        &["interrupt-instance"],
        [
            "4 INSTANCE_NOT_FOUND",
            "1 INSTANCE_NOT_BUSY",
            "ok",
            "ok",
            "1 INSTANCE_NOT_BUSY",
            "1 INSTANCE_NOT_BUSY",
            "1 INSTANCE_STOPPED",
            "ok",
        ],
    ),
    (
        &["query-instance"],
        [
            "4 INSTANCE_NOT_FOUND",
            "ok",
            "ok",
            "1 INSTANCE_PAUSED",
            "1 INSTANCE_PAUSED",
            "ok",
            "1 INSTANCE_STOPPED",
            "3 DRAINING",
        ],
    ),
    (
        &["continue-conversation"],
        [
            "4 CONVERSATION_NOT_FOUND",
            "ok",
            "ok",
            "1 INSTANCE_PAUSED",
            "1 INSTANCE_PAUSED",
            "ok",
            "ok",
            "3 DRAINING",
        ],
    ),
    (
        &["start-instance"],
        [
            "4 CONVERSATION_NOT_FOUND",
            "1 CONVERSATION_HAS_INSTANCE",
            "1 CONVERSATION_HAS_INSTANCE",
            "1 CONVERSATION_HAS_INSTANCE",
            "1 CONVERSATION_HAS_INSTANCE",
            "1 CONVERSATION_HAS_INSTANCE",
            "ok",
            "3 DRAINING",
        ],
    ),
    (&["show-turn"], ["4 TURN_NOT_FOUND", "ok", "ok", "ok", "ok", "ok", "ok", "ok"]),
    (
        &["cancel-turn"],
        [
            "4 TURN_NOT_FOUND",
            "1 TURN_ALREADY_ENDED",
            "ok",
            "ok",
            "ok",
            "1 TURN_ALREADY_ENDED",
            "1 TURN_ALREADY_ENDED",
            "ok",
        ],
    ),
    // About the server: the state of an instance makes no difference.
    (&["GetServerInfo", "WatchPool", "status"], ["ok"; 8]),
    (&["Drain", "drain"], ["ok"; 8]),
];

const NO_INSTANCE: &str = "NotFound INSTANCE_NOT_FOUND";
const NO_CONVERSATION: &str = "NotFound CONVERSATION_NOT_FOUND";
const NO_TURN: &str = "NotFound TURN_NOT_FOUND";
const NOT_BUSY: &str = "FailedPrecondition INSTANCE_NOT_BUSY";
const PAUSED: &str = "FailedPrecondition INSTANCE_PAUSED";
const STOPPED: &str = "FailedPrecondition INSTANCE_STOPPED";
const SERVED: &str = "FailedPrecondition CONVERSATION_HAS_INSTANCE";
const ENDED: &str = "FailedPrecondition TURN_ALREADY_ENDED";
const DRAINING: &str = "Unavailable DRAINING";

/// What calls are made about.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub instance: String,
    pub conversation: String,
    pub turn: String,
}

/// A new instance in this state, with a turn of it.
async fn target(client: &Client, state: &str) -> Target {
    if state == "unknown" {
        let id = || uuid::Uuid::new_v4().to_string();
        return Target { instance: id(), conversation: id(), turn: id() };
    }
    let started = start_with_module(client, "").await;
    let (id, conversation) = (started.id, started.conversation_id);
    let turn = match state {
        "idle" | "exited" | "stopped" => {
            let heard = client.ask(&conversation, "hello").await;
            completed(heard.turn());
            heard.turn_id().to_owned()
        }
        _ => submit_running(client, &conversation, "hang").await.turn_id().to_owned(),
    };
    let mut target = Target { instance: id.clone(), conversation, turn };
    match state {
        "pausing" => assert!(pause(client, &id).await.pause_pending),
        "paused" => {
            let waiting = submit(client, &target.conversation, "waiting").await.id;
            assert!(pause(client, &id).await.pause_pending);
            crate::simulated::support::cancel(client, &target.turn).await;
            await_state(client, &id, InstanceState::Paused).await;
            target.turn = waiting;
        }
        "exited" => {
            processes::signal(started.process_id, Signal::KILL);
            await_state(client, &id, InstanceState::Dormant).await;
        }
        "stopped" => {
            try_stop(client, &id, claude_comms_proto::v1::StopMode::Now).await.unwrap();
        }
        _ => {}
    }
    target
}

/// One column: what each call answered, and in which words it refused.
async fn column(place: usize) -> Vec<(String, String)> {
    let state = STATES[place];
    let mut server = playing_turns(TURNS).configuration("pool: { max_instances: 40 }\n").start().await;
    let client = server.client().await;
    let rows: Vec<(&str, &str)> =
        EXPECTED.iter().flat_map(|(names, row)| names.iter().map(|name| (*name, row[place]))).collect();
    // Something that keeps a draining server up.
    submit_running(&client, &client.new_conversation().await, "hang").await;
    let shared = target(&client, state).await;
    let mut own = Vec::new();
    for (name, expected) in &rows {
        let mine = *expected == "ok" && calls::changes(name) && state != "unknown";
        own.push(if mine { Some(target(&client, state).await) } else { None });
    }
    if state == "draining" {
        calls::drain(&client).await;
    }
    let mut answers = Vec::new();
    for ((name, expected), own) in rows.iter().zip(&own) {
        let target = own.as_ref().unwrap_or(&shared);
        let (answer, message) = calls::answer(&server, &client, name, target).await;
        println!("{state:9} {name:30} {answer:48} {message}");
        assert_eq!(&answer, expected, "{name} of one that is {state}: {message}");
        assert_eq!(message.is_empty(), matches!(*expected, "ok" | "waits"), "{name}, {state}: {message}");
        answers.push((answer, message));
    }
    server.kill9().await;
    answers
}

#[tokio::test]
async fn every_call_answers_as_the_table_says_in_every_state() {
    let mut answers = vec![Vec::new(); STATES.len()];
    let all = async {
        let mut columns = JoinSet::new();
        for place in 0..STATES.len() {
            columns.spawn_local(async move { (place, column(place).await) });
        }
        while let Some(column) = columns.join_next().await {
            let (place, column) = column.unwrap();
            answers[place] = column;
        }
    };
    LocalSet::new().run_until(all).await;
    let mut table = format!("{:31}", "");
    for state in STATES {
        let _ = write!(table, "{state:30}");
    }
    let names = EXPECTED.iter().flat_map(|(names, _)| names.iter());
    for (row, name) in names.enumerate() {
        let _ = write!(table, "\n{name:31}");
        for column in &answers {
            let answer = column[row].0.replace("FailedPrecondition ", "").replace("NotFound ", "");
            let _ = write!(table, "{answer:30}");
        }
    }
    println!("{table}");
}
