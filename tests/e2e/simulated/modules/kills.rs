//! `kill -9` of the server while modules are registered and asked: what was acknowledged is there, what was accepted ends
//! once, and nothing is there by half.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use claude_comms_proto::v1::{ListConversationsRequest, QueryModuleRequest, TurnState, turn_event::Event};
use claude_comms_tests::{Client, client::reason, within};
use serde_json::json;
use tokio::{sync::watch, task::JoinSet};
use uuid::Uuid;

use super::support::{
    counter, module, modules, question, register, revision, try_register, try_submit_query, with_role,
};
use crate::simulated::support::{is_durable, playing_turns, turns, wait, watch};

const ROUNDS: usize = 20;
const REGISTRARS: usize = 2;
const ASKERS: usize = 4;

/// What clients were told: digests by name, version and revision; turns by the request's ID.
#[derive(Default)]
struct Told {
    registered: BTreeMap<(String, String, u32), String>,
    turns: BTreeMap<String, BTreeSet<(String, String)>>,
}

/// How far the clients have come.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Registrations and questions that came to their end.
    done: usize,
    /// Those, and whatever was sent or heard on the way.
    steps: usize,
}

/// What the clients share.
#[derive(Clone)]
struct Work {
    end: Arc<AtomicBool>,
    /// Whether the server is there.
    up: watch::Sender<bool>,
    progress: watch::Sender<Progress>,
}

impl Work {
    fn step(&self) {
        self.progress.send_modify(|progress| progress.steps += 1);
    }

    fn done(&self) {
        self.progress.send_modify(|progress| progress.done += 1);
    }

    fn goes_on(&self) -> bool {
        !self.end.load(Ordering::Relaxed)
    }

    /// Awaits that the server is there, as it is again soon after a kill.
    async fn up(&self) {
        within("the server", self.up.subscribe().wait_for(|up| *up)).await.unwrap();
    }

    /// Awaits that some more is done, and then so many steps, so that each kill meets another moment of the work.
    async fn moment(&self, steps: usize) {
        let mut progress = self.progress.subscribe();
        let before = progress.borrow().done;
        let on = within("work goes on", progress.wait_for(|now| now.done >= before + 3)).await;
        let before = on.unwrap().steps;
        within("the next steps", progress.wait_for(|now| now.steps >= before + steps)).await.unwrap();
    }
}

/// Registers new modules, new versions and new contents until the end.
async fn register_on(client: Client, registrar: usize, work: Work) -> Told {
    let mut told = Told::default();
    let mut number = 0;
    while work.goes_on() {
        let name = format!("r{registrar}-{}", number / 4);
        let version = format!("1.{}.0", number % 4 / 2);
        let described = with_role(&name, &version, &format!("role {number}"));
        work.step();
        match try_register(&client, &described).await {
            Ok(module) => {
                told.registered.insert((module.name, module.version, module.revision), module.digest);
                number += 1;
                work.done();
            }
            Err(status) => {
                assert_ne!(reason(&status), "MODULE_VERSION_LOWER", "{status:?}");
                work.up().await;
            }
        }
    }
    told
}

/// Asks new questions until the end, each until its turn has ended; every other one demands data.
async fn ask_on(client: Client, asker: usize, work: Work) -> Told {
    let mut told = Told::default();
    let mut number = 0;
    while work.goes_on() {
        let asked = QueryModuleRequest {
            request_id: Uuid::new_v4().to_string(),
            capability: if number % 2 == 0 { String::new() } else { "count_things".into() },
            ..question("marker", "counter", &format!("question {asker}/{number}"))
        };
        let ids = told.turns.entry(asked.request_id.clone()).or_default();
        loop {
            work.step();
            if let Ok(turn) = try_submit_query(&client, asked.clone()).await {
                ids.insert((turn.id.clone(), turn.conversation_id.clone()));
                work.step();
                let request = claude_comms_proto::v1::WaitTurnRequest { id: turn.id };
                if client.conversations.clone().wait_turn(request).await.is_ok() {
                    break;
                }
            }
            work.up().await;
        }
        number += 1;
        work.done();
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_every_kill_and_every_turn_ends_once() {
    // Without data at first, so that kills meet repairs too.
    let scenario = json!({"turns": [
        {"when": {"contains": "last answer cannot be used"}, "steps": [{"delay_ms": 3}, {"text": "```json\n{\"count\": 1}\n```"}]},
        {"when": {"contains": "output_format"}, "steps": [{"delay_ms": 3}, {"text": "none"}]},
        {"steps": [{"delay_ms": 3}, "default_answer"]},
    ]});
    let mut server =
        playing_turns(&scenario.to_string()).configuration("pool:\n  max_instances: 4\n").start().await;
    let client = server.client().await;
    register(&client, &counter()).await;
    let work = Work { end: Arc::default(), up: watch::Sender::new(true), progress: watch::Sender::default() };
    let mut clients = JoinSet::new();
    for registrar in 0..REGISTRARS {
        clients.spawn(register_on(client.clone(), registrar, work.clone()));
    }
    for asker in 0..ASKERS {
        clients.spawn(ask_on(client.clone(), asker, work.clone()));
    }
    for round in 0..ROUNDS {
        work.moment(round * 7919 % 23).await;
        work.up.send_replace(false);
        server.kill9().await;
        server.processes().await_gone().await;
        server.restart().await;
        work.up.send_replace(true);
    }
    work.end.store(true, Ordering::Relaxed);
    let mut told = Told::default();
    while let Some(one) = within("a client", clients.join_next()).await {
        let one = one.unwrap();
        told.registered.extend(one.registered);
        told.turns.extend(one.turns);
    }
    let client = server.client().await;
    registered_ones_are_there(&client, &told).await;
    turns_are_whole(&client, &told).await;
    drop(server);
}

async fn registered_ones_are_there(client: &Client, told: &Told) {
    assert!(told.registered.len() > ROUNDS, "{}", told.registered.len());
    let mut newest: BTreeMap<&str, (&str, u32)> = BTreeMap::new();
    for ((name, version, number), digest) in &told.registered {
        let kept = revision(client, name, version, *number).await.expect("it was acknowledged");
        assert_eq!((&kept.digest, kept.revision), (digest, *number));
        newest.insert(name, (version, *number));
    }
    let all: BTreeSet<String> = modules(client, 0).await.into_iter().map(|module| module.name).collect();
    for (name, (version, number)) in newest {
        assert!(all.contains(name), "{name}");
        let now = module(client, name).await.unwrap();
        // The one after it may have been kept without a word: its client heard of the kill.
        assert!(
            (now.version.as_str(), now.revision) >= (version, number),
            "{name} {version}#{number}: {now:?}"
        );
    }
}

async fn turns_are_whole(client: &Client, told: &Told) {
    let all = turns(client, "").await;
    assert_eq!(all.len(), told.turns.len(), "one turn a question");
    for turn in &all {
        let ids = &told.turns[&turn.request_id];
        assert_eq!(*ids, BTreeSet::from([(turn.id.clone(), turn.conversation_id.clone())]), "{turn:?}");
        match turn.state() {
            TurnState::Completed => assert!(!turn.text.is_empty(), "{turn:?}"),
            TurnState::Failed => {
                let why = turn.failure.as_ref().unwrap();
                assert!(why.reason == "SERVER_RESTARTED" || why.reason == "INVALID_OUTPUT", "{turn:?}");
            }
            other => panic!("{other:?} is no end: {turn:?}"),
        }
        let whole = wait(client, &turn.id).await;
        if turn.state() == TurnState::Completed && whole.capability == "count_things" {
            assert_eq!(whole.data_json, "{\"count\": 1}", "{whole:?}");
        }
        let mut heard = watch(client, &turn.id, None, 0).await;
        heard.to_end().await;
        let numbers: Vec<u64> =
            heard.events.iter().filter(|event| is_durable(event)).map(|event| event.sequence).collect();
        assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<_>>(), "{:?}", heard.events);
        let ends = heard.events.iter().filter(|event| {
            matches!(event.event, Some(Event::Completed(_) | Event::Failed(_) | Event::Cancelled(_)))
        });
        assert_eq!(ends.count(), 1);
    }
    let mut conversations = BTreeSet::new();
    let mut page_token = String::new();
    loop {
        let request = ListConversationsRequest { page_token, ..Default::default() };
        let page = client.conversations.clone().list_conversations(request).await.unwrap().into_inner();
        for conversation in page.conversations {
            assert_eq!(
                (conversation.turn_count, conversation.target_module.as_str()),
                (1, "counter"),
                "{conversation:?}"
            );
            assert!(!conversation.system_prompt.is_empty());
            conversations.insert(conversation.id);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let of_turns: BTreeSet<String> = all.iter().map(|turn| turn.conversation_id.clone()).collect();
    assert_eq!(conversations, of_turns, "no conversation is there by half");
}
