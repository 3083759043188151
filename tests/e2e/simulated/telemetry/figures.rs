//! GetStatistics counts what was done, each thing once.

use std::{collections::BTreeMap, time::Duration};

use claude_comms_proto::v1::{DurationStatistics, InstanceState, TurnState};
use claude_comms_tests::{PATIENCE, eventually};

use super::session::{self, statistics};
use crate::simulated::support::{HANG_ON_REQUEST, playing_turns, submit, submit_running};

fn in_order(durations: &DurationStatistics) -> bool {
    let quantiles = [durations.p50, durations.p90, durations.p95, durations.p99];
    let quantiles: Option<Vec<Duration>> =
        quantiles.into_iter().map(|quantile| quantile?.try_into().ok()).collect();
    quantiles.is_some_and(|quantiles| quantiles.is_sorted())
}

#[tokio::test]
async fn statistics_agree_with_a_known_session() {
    let server = session::server().start().await;
    let session = session::run(&server).await;
    let client = server.client().await;
    let figures = statistics(&client).await;
    let turns = figures.turns.unwrap();
    assert_eq!((turns.accepted, turns.process_retries, turns.api_retries, turns.repairs), (7, 1, 3, 1));
    let ended: BTreeMap<(TurnState, &str), u64> =
        turns.ended.iter().map(|end| ((end.state(), end.reason.as_str()), end.count)).collect();
    let expected = [
        ((TurnState::Completed, ""), 4),
        ((TurnState::Failed, "API_SERVER_ERROR"), 1),
        ((TurnState::Cancelled, "CANCEL_REQUESTED"), 2),
    ];
    assert_eq!(ended, expected.into());
    let pairs: Vec<_> = turns
        .pairs
        .iter()
        .map(|pair| (pair.source_module.as_str(), pair.target_module.as_str(), pair.state(), pair.count))
        .collect();
    assert!(pairs.contains(&("marker", "counter", TurnState::Completed, 1)), "{pairs:?}");
    assert!(pairs.contains(&("", "", TurnState::Cancelled, 2)) && pairs.len() == 4, "{pairs:?}");
    let usage = turns.usage.unwrap();
    let sum = |tokens: fn(&claude_comms_proto::v1::Usage) -> i64| {
        session.turns.iter().map(|turn| tokens(turn.usage.as_ref().unwrap())).sum::<i64>()
    };
    assert_eq!(usage.input_tokens, sum(|usage| usage.input_tokens));
    assert_eq!(usage.output_tokens, sum(|usage| usage.output_tokens));
    let cost: f64 = session.turns.iter().map(|turn| turn.cost_usd).sum();
    assert!(cost > 0.0 && (turns.cost_usd - cost).abs() < 1e-9, "{} and {cost}", turns.cost_usd);
    let (queue, first_token, total) =
        (turns.queue.unwrap(), turns.first_token.unwrap(), turns.total.unwrap());
    assert_eq!((queue.count, total.count), (6, 7), "the one that was cancelled in the queue never started");
    assert!(first_token.count >= 4 && first_token.count < 7, "{first_token:?}");
    assert!([queue, first_token, total].iter().all(in_order), "{queue:?} {first_token:?} {total:?}");

    let processes = figures.processes.unwrap();
    // The named instance's first and second process, and that of the module's conversation.
    assert_eq!((processes.started, processes.failed, processes.abandoned), (3, 0, 0));
    assert_eq!(processes.start.unwrap().count, 3);
    let exits: Vec<_> = processes.exits.iter().map(|exit| (exit.cause.as_str(), exit.count)).collect();
    assert_eq!(exits, [("crashed", 1)]);
    let refusals: Vec<_> = figures.refusals.iter().map(|r| (r.reason.as_str(), r.count)).collect();
    assert_eq!(refusals, [("INVALID_ARGUMENT", 1), ("CONVERSATION_NOT_FOUND", 1)]);
    let rpcs: BTreeMap<_, _> = figures.rpcs.iter().map(|rpc| (rpc.method.as_str(), rpc.count)).collect();
    let expected = [
        ("CancelTurn", 2),
        ("GetStatistics", 1),
        ("QueryModule", 1),
        ("RegisterModule", 1),
        ("SendMessage", 5),
        ("StartInstance", 1),
        ("SubmitMessage", 3),
    ];
    assert_eq!(rpcs, expected.into());
    let store = figures.store.unwrap();
    assert!(
        store.commits >= 16 && store.operations >= store.commits && store.failed_commits == 0,
        "{store:?}"
    );
    assert_eq!(store.commit.as_ref().unwrap().count, store.commits);
    assert!(in_order(store.commit.as_ref().unwrap()));
    assert_eq!((figures.queued_turns, figures.running_turns), (0, 0));
    let instances: Vec<_> = figures.instances.iter().map(|i| (i.state(), i.count)).collect();
    assert_eq!(instances, [(InstanceState::Idle, 2)]);
}

#[tokio::test]
async fn what_waits_runs_and_watches_now_is_told_as_it_is() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let watched = submit_running(&client, &conversation, "hang").await;
    submit(&client, &conversation, "behind").await;
    submit(&client, &conversation, "behind").await;
    let now = statistics(&client).await;
    assert_eq!((now.queued_turns, now.running_turns), (2, 1));
    assert_eq!((now.watchers[0].kind.as_str(), now.watchers[0].count), ("turn", 1));
    assert_eq!((now.instances[0].state(), now.instances[0].count), (InstanceState::Busy, 1));
    drop(watched);
    eventually(PATIENCE, "the watcher that left is not counted", async || {
        statistics(&client).await.watchers.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_command_shows_figures_to_people_and_programs() {
    let server = session::server().start().await;
    session::run(&server).await;
    let shown = server.cli(&["statistics"]).await.expect(0).stdout;
    for words in
        ["4 COMPLETED", "2 CANCELLED", "1 API_SERVER_ERROR", "marker -> counter: 1 COMPLETED", "1 crashed"]
    {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    let json = server.cli(&["statistics", "--output", "json"]).await.expect(0).json();
    assert_eq!(json["turns"]["accepted"], "7", "{json}");
    assert_eq!(json["processes"]["exits"][0]["cause"], "crashed", "{json}");
}
