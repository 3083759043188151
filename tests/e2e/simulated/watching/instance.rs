//! MonitorInstance: all that an instance does is seen, numbered without gaps, over reconnects, restarts and kills.

use claude_comms_proto::v1::{InstanceState, TurnState, instance_event::Event, turn_event::Event as InTurn};
use claude_comms_tests::{TestServer, client::reason, tools::scale};
use tokio::task::JoinSet;
use tonic::Code;

use super::{
    super::support::{bad_input, playing_turns, refused, start_instance},
    support::{ask, is_durable, is_state, monitor, stop, try_monitor, words},
};

/// The first process dies before it answers; the second shows all there is.
const ALL_THERE_IS: &str = r#"
turns:
  - { when: { contains: all }, once: instance, steps: [{ crash: { exit: 7 } }] }
  - when: { contains: all }
    steps:
      - stderr: "a word on stderr\n"
      - api_retry: { status: 529, error: overloaded, delay_ms: 1 }
      - text: "Let me see. "
      - tool_call: { name: lookup, input: { city: Bern }, result: { text: sunny } }
      - text: "It is sunny."
"#;

#[tokio::test]
async fn states_processes_turns_text_tools_retries_stderr_and_usage_are_all_seen() {
    let server = playing_turns(ALL_THERE_IS).start().await;
    let client = server.client().await;
    let id = start_instance(&client, "seen").await.id;
    let mut watcher = monitor(&client, "seen", Some(0)).await;
    let turn = ask(&client, &id, "show all").await;
    assert_eq!(turn.text, "It is sunny.", "{turn:?}");
    watcher.until_idle_after(1).await;
    stop(&client, &id).await;
    watcher.finish().await;
    let durable = words(&watcher.durable());
    // The system's word, and when a process dies, come when they come.
    assert!(durable.contains(&"exit 7".to_owned()), "{durable:?}");
    let durable: Vec<_> =
        durable.iter().map(String::as_str).filter(|word| !word.starts_with("exit")).collect();
    assert_eq!(
        durable,
        [
            "STARTING",
            "process 1",
            "IDLE",
            "BUSY",
            "turn, try 1",
            "process 2",
            "turn, try 2",
            "turn COMPLETED",
            "IDLE",
            "STOPPING",
            "STOPPED",
        ]
    );
    let live: Vec<_> = watcher.events.iter().filter(|event| !is_durable(event)).cloned().collect();
    let (stderr, live): (Vec<_>, Vec<_>) =
        words(&live).into_iter().partition(|word| word.starts_with("stderr"));
    assert_eq!(stderr, ["stderr \"a word on stderr\\n\""]);
    assert_eq!(
        live,
        [
            "retry PROCESS_DIED",
            "retry overloaded",
            "text",
            "calls lookup",
            "result [{\"text\":\"sunny\",\"type\":\"text\"}]",
            "reset tool_use",
            "text",
            "completed",
        ]
    );
    // A turn's live events are between its start and its end.
    let place = |word: &str| words(&watcher.events).iter().position(|other| other == word);
    let places = ["turn, try 1", "retry PROCESS_DIED", "completed", "turn COMPLETED"].map(place);
    assert!(places.is_sorted() && places[0].is_some(), "{:?}", words(&watcher.events));
    let ended = watcher.durable().into_iter().find_map(|event| match event.event {
        Some(Event::TurnEnded(ended)) => Some(ended),
        _ => None,
    });
    let ended = ended.expect("the turn's end");
    assert_eq!((ended.state(), ended.usage), (TurnState::Completed, turn.usage));
    assert_eq!(ended.turn_id, turn.id);
    assert!((ended.cost_usd - turn.cost_usd).abs() < 1e-9 && ended.duration.is_some());
    // It is all kept, and the stream of a stopped instance ends.
    let mut again = monitor(&client, &id, Some(0)).await;
    again.finish().await;
    assert_eq!(again.durable(), watcher.durable());
}

#[tokio::test]
async fn who_begins_now_is_told_the_state_and_what_follows() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let id = start_instance(&client, "now").await.id;
    ask(&client, &id, "before").await;
    let mut all = monitor(&client, &id, Some(0)).await;
    all.until_idle_after(1).await;
    let mut watcher = monitor(&client, &id, None).await;
    let first = watcher.next().await.expect("the state");
    assert!(is_state(first.event.as_ref().unwrap(), InstanceState::Idle), "{first:?}");
    assert_eq!(first.sequence, all.last());
    let turn = ask(&client, &id, "after").await;
    watcher.until_idle_after(1).await;
    let text: String = watcher
        .events
        .iter()
        .filter_map(|event| match event.event.as_ref()? {
            Event::Turn(turn) => match turn.event.as_ref()? {
                InTurn::TextDelta(delta) => Some(delta.text.as_str()),
                _ => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(text, turn.text);
}

#[tokio::test]
async fn a_watcher_who_is_cut_off_at_every_event_sees_the_same_as_one_who_never_is() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let id = start_instance(&client, "").await.id;
    let mut asking = JoinSet::new();
    asking.spawn({
        let (client, id) = (client.clone(), id.clone());
        async move {
            for prompt in 0..20 {
                ask(&client, &id, &format!("prompt {prompt}")).await;
            }
            stop(&client, &id).await;
        }
    });
    let mut pieces = Vec::new();
    let mut last = 0;
    loop {
        let mut watcher = monitor(&client, &id, Some(last)).await;
        let before = pieces.len();
        while pieces.len() == before {
            if watcher.next().await.is_none() {
                break;
            }
            pieces.extend(watcher.durable());
        }
        if pieces.len() == before {
            break;
        }
        last = watcher.last();
    }
    asking.join_all().await;
    let mut whole = monitor(&client, &id, Some(0)).await;
    whole.finish().await;
    assert_eq!(pieces, whole.durable());
    assert!(pieces.len() > 80, "{}", pieces.len());
}

#[tokio::test]
async fn a_pinned_instances_sequences_go_on_after_a_restart() {
    let mut server = TestServer::simulated().start().await;
    let client = server.client().await;
    let id = start_instance(&client, "kept").await.id;
    let mut before = monitor(&client, &id, Some(0)).await;
    ask(&client, &id, "one").await;
    before.until_idle_after(1).await;
    let (ran, end) = tokio::join!(server.terminate(), async {
        loop {
            match before.try_next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the instance has not ended"),
                Err(status) => return status,
            }
        }
    });
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!((end.code(), reason(&end).as_str()), (Code::Unavailable, "DRAINING"), "{end:?}");
    assert_eq!(words(&before.durable()).last().map(String::as_str), Some("DORMANT"), "{:?}", before.events);

    server.restart().await;
    let client = server.client().await;
    let mut after = monitor(&client, &id, Some(0)).await;
    ask(&client, &id, "two").await;
    after.until_idle_after(2).await;
    let durable = after.durable();
    assert_eq!(durable[..before.durable().len()], before.durable());
    let words = words(&durable[before.durable().len()..]);
    assert_eq!(
        words,
        ["DORMANT", "STARTING", "process 2", "IDLE", "BUSY", "turn, try 1", "turn COMPLETED", "IDLE"]
    );
}

#[tokio::test]
async fn what_was_told_is_there_after_the_server_is_killed() {
    let kills = scale(6, 40);
    let mut server = TestServer::simulated().start().await;
    let id = start_instance(&server.client().await, "killed").await.id;
    let mut known = Vec::new();
    for kill in 0..kills {
        let client = server.client().await;
        let mut watcher = monitor(&client, &id, Some(0)).await;
        let mut asking = JoinSet::new();
        asking.spawn({
            let (client, id) = (client.clone(), id.clone());
            async move {
                loop {
                    let request = claude_comms_proto::v1::QueryInstanceRequest {
                        id: id.clone(),
                        prompt: "go".into(),
                        ..Default::default()
                    };
                    let Ok(stream) = client.instances.clone().query_instance(request).await else { return };
                    let mut stream = stream.into_inner();
                    while let Ok(Some(_)) = stream.message().await {}
                }
            }
        });
        // What was told before the last kill, and then some more: at another event each time.
        while watcher.durable().len() < known.len() + 7 + kill {
            watcher.next().await.expect("the instance goes on");
        }
        server.kill9().await;
        while let Ok(Some(_)) = watcher.try_next().await {}
        asking.join_all().await;
        let told = watcher.durable();
        assert_eq!(told[..known.len()], known, "kill {kill}");
        known = told;
        server.processes().await_gone().await;
        server.restart().await;
    }
    let client = server.client().await;
    let mut watcher = monitor(&client, &id, Some(0)).await;
    while watcher.durable().len() < known.len() {
        watcher.next().await.expect("the instance goes on");
    }
    assert_eq!(watcher.durable()[..known.len()], known);
    // Whatever a killed server left has its end in the log by the time the instance is there again.
    watcher.until(|event| is_state(event, InstanceState::Dormant)).await;
    let words = words(&watcher.durable());
    let starts = words.iter().filter(|word| word.starts_with("turn, try")).count();
    let ends = words.iter().filter(|word| ["turn COMPLETED", "turn FAILED"].contains(&word.as_str())).count();
    assert_eq!(starts, ends, "{words:?}");
}

#[tokio::test]
async fn who_cannot_be_watched_is_named() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    bad_input(try_monitor(&client, "", None).await.map(drop), &["id"]);
    bad_input(try_monitor(&client, "No Name", None).await.map(drop), &["id"]);
    let unknown = try_monitor(&client, "nobody", Some(0)).await.map(drop);
    refused(unknown, Code::NotFound, "INSTANCE_NOT_FOUND");
}

#[tokio::test]
async fn who_begins_beyond_the_end_is_told_where_the_end_is() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    start_instance(&client, "short").await;
    bad_input(try_monitor(&client, "short", Some(1000)).await.map(drop), &["after_sequence"]);
}

#[tokio::test]
async fn a_stopped_instances_log_ends_with_its_end_however_soon_it_is_asked_for() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    for round in 0..5 {
        let id = start_instance(&client, &format!("brief{round}")).await.id;
        let mut early = monitor(&client, &id, Some(0)).await;
        stop(&client, &id).await;
        let mut late = monitor(&client, &id, Some(0)).await;
        for watcher in [&mut early, &mut late] {
            watcher.finish().await;
            let words = words(&watcher.durable());
            assert!(words.last().is_some_and(|word| word.contains("STOPPED")), "{words:?}");
        }
    }
}
