//! From where a watch begins, and in which order it tells.

use claude_comms_tests::conversation_watcher::Watcher;

use crate::simulated::support::{
    HANG_ON_REQUEST, bad_input, cancel, completed, get, playing, playing_turns, submit, submit_running, wait,
};

#[tokio::test]
async fn zero_is_all_that_is_kept_and_unset_is_from_now_on() {
    let server = playing("by_prompt").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    for prompt in ["one", "two"] {
        client.ask(&conversation, prompt).await;
    }
    let mut all = Watcher::new(&conversation, Some(0));
    let mut from_zero = all.open(&client).await.unwrap();
    for _ in 0..2 {
        all.until(&mut from_zero, "completed").await;
    }
    let mut later = Watcher::new(&conversation, None);
    let mut from_now = later.open(&client).await.unwrap();
    let turn = submit(&client, &conversation, "three").await;
    later.until(&mut from_now, "completed").await;
    all.until(&mut from_zero, "completed").await;

    let kinds: Vec<&str> = all.durable.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, ["accepted", "started", "completed"].repeat(3));
    assert_eq!(later.durable, all.durable[6..], "what was before is not told");
    assert_eq!((all.sequence, later.sequence), (Some(9), Some(9)));
    for (id, (text, record)) in &all.ended {
        assert_eq!((text, &record.text), (&get(&client, id).await.text, text));
    }
    assert_eq!(later.ended[&turn.id], all.ended[&turn.id]);

    let beyond = Watcher::new(&conversation, Some(10)).request();
    let status =
        bad_input(client.conversations.clone().watch_conversation(beyond).await, &["after_sequence"]);
    assert!(status.message().contains('9'), "it says how far the conversation is: {status:?}");
}

#[tokio::test]
async fn turns_that_wait_are_told_in_order_while_another_runs() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut watcher = Watcher::new(&conversation, None);
    let mut stream = watcher.open(&client).await.unwrap();
    let running = submit_running(&client, &conversation, "hang").await.turn_id().to_owned();
    let queued = [submit(&client, &conversation, "1").await.id, submit(&client, &conversation, "2").await.id];
    for _ in 0..3 {
        watcher.until(&mut stream, "accepted").await;
    }
    // One that begins in the midst has the text of the turn that runs from its beginning.
    let mut late = Watcher::new(&conversation, None);
    let mut second = late.open(&client).await.unwrap();
    late.until(&mut second, "text").await;
    assert_eq!((late.running.as_ref(), late.text.as_str()), (Some(&running), "Hanging"));

    cancel(&client, &queued[0]).await;
    cancel(&client, &running).await;
    for (watcher, stream) in [(&mut watcher, &mut stream), (&mut late, &mut second)] {
        watcher.until(stream, "completed").await;
        assert_eq!(watcher.ended[&running].0, "Hanging");
    }
    let of = |id: &String, kind| (id.clone(), kind);
    let expected = [
        of(&running, "accepted"),
        of(&running, "started"),
        of(&queued[0], "accepted"),
        of(&queued[1], "accepted"),
        of(&queued[0], "cancelled"),
        of(&running, "cancelled"),
        of(&queued[1], "started"),
        of(&queued[1], "completed"),
    ];
    assert_eq!(watcher.durable, expected);
    assert_eq!(late.durable, expected[4..]);
    assert_eq!(completed(&wait(&client, &queued[1]).await), watcher.ended[&queued[1]].0);
}

#[tokio::test]
async fn text_that_is_void_is_taken_back() {
    let server = playing("restarted_message").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut live = Watcher::new(&conversation, None);
    let mut stream = live.open(&client).await.unwrap();
    let turn = submit(&client, &conversation, "go").await;
    live.until(&mut stream, "completed").await;
    let mut kept = Watcher::new(&conversation, Some(0));
    let mut stream = kept.open(&client).await.unwrap();
    kept.until(&mut stream, "completed").await;
    for watcher in [live, kept] {
        assert_eq!(watcher.resets, 1);
        assert_eq!(watcher.ended[&turn.id].0, "This is the answer.");
    }
}

#[tokio::test]
async fn a_turn_that_is_given_to_a_new_process_goes_on_under_the_watch() {
    let server = playing("crash_before_output_once").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut watcher = Watcher::new(&conversation, None);
    let mut stream = watcher.open(&client).await.unwrap();
    let turn = submit(&client, &conversation, "go").await;
    watcher.until(&mut stream, "completed").await;
    let kinds: Vec<&str> = watcher.durable.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, ["accepted", "started", "retrying", "started", "completed"]);
    assert_eq!(watcher.ended[&turn.id].0, completed(&get(&client, &turn.id).await));
}
