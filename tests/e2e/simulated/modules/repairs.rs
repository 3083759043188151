//! The one message that asks for a better answer: one turn, one record, whatever happens during it.

use claude_comms_proto::v1::{QueryModuleRequest, Turn, turn_event::Event};
use claude_comms_tests::{Client, client::Heard, processes::Kind};

use super::support::{conversation, counter, query, question, register, try_query, try_submit_query};
use crate::simulated::support::{
    cancel, cancelled, completed, failed, first_text, get, is_durable, playing, playing_turns, starts, turns,
    wait, watch,
};

/// The first answer has no data; to the message that asks again, this is done.
fn then(steps: &str) -> String {
    format!(
        "turns:\n  - {{ when: {{ contains: your last answer cannot be used }}, steps: [{steps}] }}\n  \
         - {{ when: {{ contains: count them }}, steps: [{{ text: \"No data.\" }}] }}\n"
    )
}

fn counting(prompt: &str) -> QueryModuleRequest {
    QueryModuleRequest { capability: "count_things".into(), ..question("marker", "counter", prompt) }
}

fn resets(heard: &Heard) -> Vec<&str> {
    let reset = |event: &'_ claude_comms_proto::v1::TurnEvent| match &event.event {
        Some(Event::TextReset(reset)) => Some(reset.reason.clone()),
        _ => None,
    };
    let all: Vec<String> = heard.events.iter().filter_map(reset).collect();
    all.into_iter().map(|reason| if reason == "repair" { "repair" } else { "other" }).collect()
}

fn ends(heard: &Heard) -> usize {
    let end = |event: &&claude_comms_proto::v1::TurnEvent| {
        matches!(event.event, Some(Event::Completed(_) | Event::Failed(_) | Event::Cancelled(_)))
    };
    heard.events.iter().filter(end).count()
}

/// The turn as its events tell it has one start, one repair and one end, and numbers that rise.
async fn told_once(client: &Client, turn: &Turn) -> Heard {
    let mut heard = watch(client, &turn.id, None, 0).await;
    assert_eq!(heard.to_end().await, turn);
    assert_eq!(
        (resets(&heard), starts(&heard), ends(&heard), turn.attempt),
        (vec!["repair"], 1, 1, 1),
        "{:?}",
        heard.events
    );
    let numbers: Vec<u64> =
        heard.events.iter().filter(|event| is_durable(event)).map(|event| event.sequence).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    assert_eq!(&get(client, &turn.id).await, turn);
    heard
}

async fn tokens(client: &Client, conversation_id: &str) -> (i64, i64) {
    let usage = conversation(client, conversation_id).await.usage.unwrap();
    (usage.input_tokens, usage.output_tokens)
}

#[tokio::test]
async fn missing_and_misfitting_data_is_asked_for_once_more_within_the_turn() {
    let server = playing("structured").start().await;
    let client = server.client().await;
    register(&client, &counter()).await;
    for prompt in ["ASK-TEXT", "ASK-WRONG"] {
        let heard = query(&client, counting(prompt)).await;
        let turn = heard.turn();
        assert_eq!(
            completed(turn),
            "Here it is.\n\n```json\n{\"count\": 7}\n```\n",
            "the record has the second answer"
        );
        assert_eq!((turn.text.as_str(), turn.data_json.as_str()), (heard.text.as_str(), "{\"count\": 7}"));
        told_once(&client, turn).await;
        // One answer alone would have fewer.
        let plain = client.ask(&turn.conversation_id, "ASK-DATA").await;
        let usage = turn.usage.unwrap();
        let both = tokens(&client, &turn.conversation_id).await;
        let last = plain.turn().usage.unwrap();
        assert_eq!(both, (usage.input_tokens + last.input_tokens, usage.output_tokens + last.output_tokens));
        assert!(turn.cost_usd > 0.0);
        let made = conversation(&client, &turn.conversation_id).await;
        assert_eq!(made.turn_count, 2, "a repair is no turn of its own");
    }
}

#[tokio::test]
async fn the_usage_of_a_repaired_turn_is_the_sum_of_both_answers() {
    let server = playing_turns(&then("{ text: \"```json\\n{\\\"count\\\": 1}\\n```\" }")).start().await;
    let client = server.client().await;
    register(&client, &counter()).await;
    let heard = query(&client, counting("count them")).await;
    let turn = heard.turn();
    completed(turn);
    let usage = turn.usage.unwrap();
    let first_alone = i64::try_from("No data.".len()).unwrap() / 4;
    let second_alone = i64::try_from("```json\n{\"count\": 1}\n```".len()).unwrap() / 4;
    assert!(usage.output_tokens >= first_alone + second_alone, "{usage:?}");
    let prompt_alone = i64::try_from(turn.message.len()).unwrap() / 4;
    assert!(
        usage.input_tokens > 2 * prompt_alone,
        "the second answer read the first message again: {usage:?}"
    );
}

#[tokio::test]
async fn data_that_never_fits_ends_the_turn_with_what_is_wrong() {
    let server =
        playing_turns(&then("{ text: \"```json\\n{\\\"count\\\": \\\"many\\\", \\\"else\\\": 1}\\n```\" }"))
            .start()
            .await;
    let client = server.client().await;
    register(&client, &counter()).await;
    let heard = query(&client, counting("count them")).await;
    let turn = heard.turn();
    let message = failed(turn, "INVALID_OUTPUT");
    assert!(message.contains("count: must be of type integer") && message.contains("\"else\""), "{message}");
    assert_eq!(turn.partial_text, heard.text, "the last answer is kept, as no answer");
    assert!(
        turn.partial_text.contains("many")
            && turn.data.is_none()
            && turn.data_json.is_empty()
            && turn.in_context
    );
    told_once(&client, turn).await;
}

#[tokio::test]
async fn not_knowing_is_an_answer_to_a_repair_too() {
    let server = playing_turns(&then("{ text: \"```unanswerable\\nThere is nothing to count.\\n```\" }"))
        .start()
        .await;
    let client = server.client().await;
    register(&client, &counter()).await;
    let heard = query(&client, counting("count them")).await;
    assert_eq!(failed(heard.turn(), "UNANSWERABLE"), "There is nothing to count.");
    told_once(&client, heard.turn()).await;
}

/// A turn whose second answer has begun and does not end.
async fn repairing(client: &Client) -> Heard {
    let mut heard = try_query(client, counting("count them")).await.unwrap();
    heard.until(|event| matches!(event, Event::TextReset(_))).await;
    first_text(&mut heard).await;
    assert_eq!(heard.text, "Again");
    heard
}

#[tokio::test]
async fn a_turn_can_be_cancelled_during_its_repair() {
    let server = playing_turns(&then("{ text: Again }, hang")).start().await;
    let client = server.client().await;
    register(&client, &counter()).await;
    let mut heard = repairing(&client).await;
    let turn = cancel(&client, heard.turn_id()).await;
    cancelled(&turn, "CANCEL_REQUESTED");
    assert_eq!(turn.partial_text, "Again");
    assert_eq!(heard.to_end().await, &turn);
    told_once(&client, &turn).await;
    // The conversation goes on, and its process with it.
    completed(client.ask(&turn.conversation_id, "and now?").await.turn());
}

#[tokio::test]
async fn a_timeout_during_the_repair_ends_the_turn() {
    let server = playing_turns(&then("{ text: Again }, hang")).start().await;
    let client = server.client().await;
    register(&client, &counter()).await;
    let mut asked = counting("count them");
    asked.timeout = Some(std::time::Duration::from_secs(2).try_into().unwrap());
    let heard = query(&client, asked).await;
    failed(heard.turn(), "TURN_TIMEOUT");
    told_once(&client, heard.turn()).await;
}

#[tokio::test]
async fn a_process_that_dies_during_the_repair_ends_the_turn_once_and_is_not_tried_again() {
    for steps in
        ["{ text: Again }, { crash: kill }", "{ crash: kill }", "message_start, { crash: { exit: 3 } }"]
    {
        let server = playing_turns(&then(steps)).start().await;
        let client = server.client().await;
        register(&client, &counter()).await;
        let heard = query(&client, counting("count them")).await;
        let turn = heard.turn();
        failed(turn, "PROCESS_DIED");
        assert_eq!(turn.partial_text, if steps.contains("Again") { "Again" } else { "" });
        told_once(&client, turn).await;
        completed(client.ask(&turn.conversation_id, "and now?").await.turn());
    }
}

#[tokio::test]
async fn a_failing_api_during_the_repair_ends_the_turn_with_its_reason() {
    let server = playing_turns(&then("{ fail: { status: 529 } }")).start().await;
    let client = server.client().await;
    register(&client, &counter()).await;
    let heard = query(&client, counting("count them")).await;
    failed(heard.turn(), "API_OVERLOADED");
    told_once(&client, heard.turn()).await;
}

#[tokio::test]
async fn a_server_killed_during_the_repair_ends_the_turn_once_after_its_restart() {
    let mut server = playing_turns(&then("{ text: Again }, hang")).start().await;
    let client = server.client().await;
    register(&client, &counter()).await;
    let heard = repairing(&client).await;
    let mut later = counting("count them");
    later.prompt = "and then?".into();
    later.capability = String::new();
    let Some(Event::Accepted(accepted)) = &heard.events[0].event else { panic!("{heard:?}") };
    later.conversation_id.clone_from(&accepted.conversation_id);
    let queued = try_submit_query(&client, later).await.unwrap();
    server.kill9().await;
    server.processes().await_gone().await;
    server.restart().await;
    let client = server.client().await;
    let turn = wait(&client, heard.turn_id()).await;
    failed(&turn, "SERVER_RESTARTED");
    told_once(&client, &turn).await;
    completed(&wait(&client, &queued.id).await);
    assert_eq!(turns(&client, &turn.conversation_id).await.len(), 2);
    assert_eq!(server.processes().of(Kind::Simulated).len(), 1);
}

#[tokio::test]
async fn a_turn_that_was_given_to_a_second_process_is_repaired_there() {
    let repaired = then("{ text: \"```json\\n{\\\"count\\\": 2}\\n```\" }");
    let dies_once =
        "turns:\n  - { once: instance, when: { contains: count them }, steps: [{ crash: kill }] }\n";
    let scenario = repaired.replace("turns:\n", dies_once);
    let server = playing_turns(&scenario).start().await;
    let client = server.client().await;
    register(&client, &counter()).await;
    let heard = query(&client, counting("count them")).await;
    let turn = heard.turn();
    completed(turn);
    assert_eq!((turn.data_json.as_str(), turn.attempt), ("{\"count\": 2}", 2));
    assert_eq!((starts(&heard), ends(&heard), resets(&heard)), (2, 1, vec!["repair"]), "{:?}", heard.events);
}
