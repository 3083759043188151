//! `kill -9` of the server at any moment, under load: every accepted turn has exactly one end, and none runs twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use claude_comms_proto::v1::{SubmitMessageRequest, TurnState, WaitTurnRequest, turn_event::Event};
use claude_comms_tests::{Client, tools::scale};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::support::{is_durable, playing_turns, turns, watch};

const CLIENTS: usize = 20;

/// What a client knows of a request that it did not give up: the conversation, and the turn it was told.
type Known = BTreeMap<String, (String, BTreeSet<String>)>;

/// Between two tries, as any client would.
const RETRY: Duration = Duration::from_millis(20);

/// Sends one prompt until its turn has ended, whatever happens to the server meanwhile.
async fn insist(client: &Client, conversation: &str, prompt: &str, known: &mut Known) {
    let request_id = Uuid::new_v4().to_string();
    let told = known.entry(request_id.clone()).or_insert_with(|| (conversation.to_owned(), BTreeSet::new()));
    loop {
        let request = SubmitMessageRequest {
            conversation_id: conversation.into(),
            prompt: prompt.into(),
            request_id: request_id.clone(),
            ..Default::default()
        };
        if let Ok(turn) = client.conversations.clone().submit_message(request).await {
            let id = turn.into_inner().id;
            told.1.insert(id.clone());
            if client.conversations.clone().wait_turn(WaitTurnRequest { id }).await.is_ok() {
                return;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

#[tokio::test]
async fn every_accepted_turn_has_exactly_one_end_however_often_the_server_is_killed() {
    let (kills, prompts) = scale((6, 12), (60, 100));
    let mut server = playing_turns("turns:\n  - steps: [{ delay_ms: 5 }, default_answer]\n")
        .configuration("pool:\n  max_instances: 6\n")
        .start()
        .await;
    let client = server.client().await;
    let done = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    let mut conversation = String::new();
    for number in 0..CLIENTS {
        // Two clients share a conversation.
        if number % 2 == 0 {
            conversation = client.new_conversation().await;
        }
        let (client, done, conversation) = (client.clone(), Arc::clone(&done), conversation.clone());
        clients.spawn(async move {
            let mut known = Known::new();
            for prompt in 0..prompts {
                insist(&client, &conversation, &format!("{number}/{prompt}"), &mut known).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
            known
        });
    }
    // Each kill comes after some more turns have ended, so at another point of the load each time.
    for kill in 1..=kills {
        let target = kill * CLIENTS * prompts / (kills + 1);
        claude_comms_tests::eventually(Duration::from_secs(120), "turns end", async || {
            (done.load(Ordering::Relaxed) >= target).then_some(())
        })
        .await;
        server.kill9().await;
        server.processes().await_gone().await;
        server.restart().await;
    }
    let mut known = Known::new();
    while let Some(told) = clients.join_next().await {
        known.extend(told.unwrap());
    }

    let client = server.client().await;
    let all = turns(&client, "").await;
    assert_eq!(known.len(), CLIENTS * prompts);
    assert_eq!(all.len(), known.len(), "one turn a request");
    let mut failed = 0;
    for turn in &all {
        let (conversation, told) = &known[&turn.request_id];
        assert_eq!(
            (conversation, told),
            (&turn.conversation_id, &BTreeSet::from([turn.id.clone()])),
            "{turn:?}"
        );
        failed += usize::from(turn.state() == TurnState::Failed);
        one_end(&client, turn).await;
    }
    assert!(failed <= kills * CLIENTS, "{failed} turns failed");
    sequences_have_no_gaps(&client, &all).await;
    claude_was_told_each_prompt_once(&client, &all).await;
}

/// Claude itself counts the prompts it remembers: one of each turn that says so, and the one that asks.
async fn claude_was_told_each_prompt_once(client: &Client, all: &[claude_comms_proto::v1::Turn]) {
    let conversations: BTreeSet<&str> = all.iter().map(|turn| turn.conversation_id.as_str()).collect();
    for conversation in conversations {
        let remembered =
            all.iter().filter(|turn| turn.conversation_id == conversation && turn.in_context).count();
        let heard = client.ask(conversation, "how many?").await;
        let expected = format!("This is turn {} of our conversation.", remembered + 1);
        assert!(heard.text.contains(&expected), "not {expected:?}: {}", heard.text);
    }
}

/// The turn's durable events: accepted, each start once, one end.
async fn one_end(client: &Client, turn: &claude_comms_proto::v1::Turn) {
    let mut heard = watch(client, &turn.id, None, 0).await;
    heard.to_end().await;
    let mut open = false;
    let mut starts = 0;
    for event in &heard.events {
        match event.event.as_ref().unwrap() {
            Event::Started(_) => {
                assert!(!open, "started twice without a retry between: {:?}", heard.events);
                (open, starts) = (true, starts + 1);
            }
            Event::Retrying(_) => open = false,
            _ => {}
        }
    }
    assert_eq!(starts, turn.attempt, "{:?}", heard.events);
    match turn.state() {
        TurnState::Completed => {
            assert!(starts == 1 && turn.text.contains(&format!("\"{}\"", turn.prompt)), "{turn:?}")
        }
        TurnState::Failed => {
            assert_eq!(turn.failure.as_ref().unwrap().reason, "SERVER_RESTARTED", "{turn:?}")
        }
        other => panic!("{other:?} is no end: {turn:?}"),
    }
}

async fn sequences_have_no_gaps(client: &Client, all: &[claude_comms_proto::v1::Turn]) {
    let mut of_conversation: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for turn in all {
        let mut heard = watch(client, &turn.id, None, 0).await;
        heard.to_end().await;
        let durable = heard.events.iter().filter(|event| is_durable(event)).map(|event| event.sequence);
        of_conversation.entry(&turn.conversation_id).or_default().extend(durable);
    }
    for (conversation, mut sequences) in of_conversation {
        sequences.sort_unstable();
        assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>(), "{conversation}");
    }
}
