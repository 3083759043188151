//! `kill -9` of the CLI: a turn that had begun to answer ends once and for all, one that had not is tried again by itself,
//! and the conversation goes on with all it remembers.

use claude_comms_proto::v1::{InstanceState, RetryScope, TurnState, turn_event::Event};
use claude_comms_tests::{Gate, Reply, processes::Kind};

use super::stage::{Stage, assert_answer, assert_failed, count, hear_text, is_terminal};

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_a_turn_has_one_end_and_the_next_has_the_history() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(5).held_after(2, &gate));
    let mut heard = stage.client.send(&conversation, "two").await.unwrap();
    hear_text(&mut heard, "tok1 ").await;
    stage.kill_claude().await;
    heard.to_end().await;
    let turn = heard.turn().clone();
    assert_failed(&turn, "PROCESS_DIED");
    assert_eq!((turn.partial_text.as_str(), turn.attempt), ("tok0 tok1 ", 1));
    let kept = stage.watch(&turn.id).await;
    assert_eq!((count(&heard, is_terminal), count(&kept, is_terminal)), (1, 1));
    assert_eq!((kept.turn(), &stage.turn(&turn.id).await), (&turn, &turn));

    let next = stage.client.ask(&conversation, "three").await;
    assert_answer(&next, "three");
    let users = stage.last_request_users();
    assert_eq!((users[0].as_str(), users.last().unwrap().as_str()), ("one", "three"), "{users:?}");
    assert_eq!(
        users.iter().any(|user| user == "two"),
        turn.in_context,
        "the record says what is remembered: {users:?}"
    );
    assert!(stage.api.requests().last().unwrap().assistant_texts().contains(&"one".into()));
    assert_eq!(stage.api.requests().len(), 3, "what was killed is not asked again");
    assert_eq!(stage.turn(&turn.id).await, turn, "an end is final");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_idle_the_next_turn_resumes() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    stage.kill_claude().await;
    // At once: the server may not know yet.
    let two = stage.client.ask(&conversation, "two").await;
    assert_answer(&two, "two");
    assert_eq!(stage.last_request_users(), ["one", "two"]);
    stage.kill_claude().await;
    stage.await_no_instance().await;
    let three = stage.client.ask(&conversation, "three").await;
    assert_answer(&three, "three");
    assert_eq!(three.turn().attempt, 1, "no attempt is lost on a process that is known to be gone");
    assert_eq!(stage.last_request_users(), ["one", "two", "three"]);
    assert_eq!(stage.api.requests()[2].assistant_texts(), ["one", "two"]);
    assert_eq!(stage.api.requests().len(), 3);
    assert_eq!(count(&three, |event| matches!(event, Event::SessionReset(_))), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_instance_gets_a_new_process_of_the_next_generation() {
    let stage = Stage::new().await;
    let instance = stage.start_instance("pinned", "Be brief.").await;
    let mut first = stage.query("pinned", "one").await.unwrap();
    first.to_end().await;
    for generation in 2..=3 {
        stage.kill_claude().await;
        let dormant = stage.await_state(&instance.id, InstanceState::Dormant).await;
        assert_eq!((dormant.process_id, dormant.process_generation), (0, generation - 1));
        assert_eq!(dormant.exit.as_ref().unwrap().code, 137, "{:?}", dormant.exit);
        let mut next = stage.query("pinned", &format!("turn {generation}")).await.unwrap();
        next.to_end().await;
        assert_answer(&next, &format!("turn {generation}"));
        assert_eq!(next.turn().instance_id, instance.id);
        let now = stage.await_state(&instance.id, InstanceState::Idle).await;
        assert_eq!((now.process_id, now.process_generation), (stage.claude_pid(), generation));
    }
    assert_eq!(stage.last_request_users(), ["one", "turn 2", "turn 3"]);
    assert!(stage.api.requests().last().unwrap().system_texts().contains(&"Be brief.".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_first_output_the_turn_is_tried_again_and_nothing_is_doubled() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    let gate = Gate::new();
    stage.api.queue(Reply::echo().held_at_head(&gate));
    let mut heard = stage.client.send(&conversation, "two").await.unwrap();
    gate.arrived(1).await;
    stage.kill_claude().await;
    heard.to_end().await;
    assert_answer(&heard, "two");
    assert_eq!(heard.turn().attempt, 2);
    let retry = heard.events.iter().find_map(|event| match event.event.as_ref() {
        Some(Event::Retrying(retry)) => Some(retry),
        _ => None,
    });
    let retry = retry.expect("the retry is told");
    assert_eq!(
        (retry.scope(), retry.attempt, retry.reason.as_str()),
        (RetryScope::Process, 1, "PROCESS_DIED")
    );
    assert_eq!(count(&heard, |event| matches!(event, Event::Started(_))), 2);
    assert_eq!(stage.last_request_users(), ["one", "two"]);
    assert_answer(&stage.client.ask(&conversation, "three").await, "three");
    assert_eq!(stage.last_request_users(), ["one", "two", "three"]);
    assert_eq!(stage.api.requests().last().unwrap().assistant_texts(), ["one", "two"]);
    // Also for the next process, which knows only what was kept.
    stage.kill_claude().await;
    assert_answer(&stage.client.ask(&conversation, "four").await, "four");
    assert_eq!(stage.last_request_users(), ["one", "two", "three", "four"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_first_output_of_a_conversation_it_is_tried_again_too() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    let gate = Gate::new();
    stage.api.queue(Reply::echo().held_at_head(&gate));
    let mut heard = stage.client.send(&conversation, "one").await.unwrap();
    gate.arrived(1).await;
    stage.kill_claude().await;
    heard.to_end().await;
    assert_answer(&heard, "one");
    assert_eq!(
        count(&heard, |event| matches!(event, Event::SessionReset(_))),
        0,
        "nothing was remembered yet"
    );
    assert_answer(&stage.client.ask(&conversation, "two").await, "two");
    assert_eq!(stage.last_request_users(), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_its_output_each_time_the_turn_fails_and_the_next_works() {
    let stage = Stage::with(|builder| builder.configuration("retry: {max_attempts: 2}")).await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    stage.api.always_for("deadly", Reply::silence());
    let mut heard = stage.client.send(&conversation, "deadly").await.unwrap();
    for attempt in 1..=2 {
        stage.api.wait_for_requests(1 + attempt).await;
        stage.kill_claude().await;
    }
    heard.to_end().await;
    assert_failed(heard.turn(), "PROCESS_DIED");
    assert_eq!((heard.turn().attempt, heard.turn().state()), (2, TurnState::Failed));
    let next = stage.client.ask(&conversation, "well").await;
    println!("{next:#?}");
    assert_answer(&next, "well");
    let users = stage.last_request_users();
    assert_eq!(users.iter().filter(|user| *user == "one").count(), 1, "{users:?}");
    assert_eq!(
        users.iter().filter(|user| *user == "deadly").count(),
        usize::from(heard.turn().in_context),
        "{users:?}"
    );
    assert_eq!(stage.server.processes().of(Kind::Claude).len(), 1);
}
