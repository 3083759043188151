//! What the API cannot take is sent again where that can help, and waits for the account's limit where that is the reason.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use claude_comms_proto::v1::{
    DrainRequest, GetServerInfoRequest, RetryScope, TurnRetrying, turn_event::Event,
};
use claude_comms_tests::{client::Heard, server::Builder};

use crate::simulated::support::{completed, failed, playing_turns, start_instance, starts, submit, wait};

fn retries(heard: &Heard, scope: RetryScope) -> Vec<TurnRetrying> {
    let retries = heard.events.iter().filter_map(|event| match &event.event {
        Some(Event::Retrying(retrying)) if retrying.scope() == scope => Some(retrying.clone()),
        _ => None,
    });
    retries.collect()
}

/// The line by which the CLI tells the account's limit.
fn limit(status: &str, resets_in: Duration) -> String {
    let resets_at = (SystemTime::now() + resets_in).duration_since(UNIX_EPOCH).unwrap().as_secs();
    let info = serde_json::json!({
        "type": "rate_limit_event", "uuid": "u", "session_id": "s",
        "rate_limit_info": {
            "status": status, "resetsAt": resets_at, "rateLimitType": "five_hour", "isUsingOverage": false,
        },
    });
    format!("{{ raw: '{info}' }}")
}

fn quick(builder: Builder) -> Builder {
    builder.configuration("retry: { max_delay: 50ms }\n")
}

#[tokio::test]
async fn an_overloaded_api_is_asked_again_and_the_prompt_is_once_in_the_memory() {
    let server = quick(playing_turns(
        "turns:\n  - { when: { equals: two }, once: instance, steps: [{ fail: { status: 529 } }] }\n",
    ))
    .start()
    .await;
    let client = server.client().await;
    let conversation = start_instance(&client, "one").await.conversation_id;
    completed(client.ask(&conversation, "one").await.turn());
    let heard = client.ask(&conversation, "two").await;
    let text = completed(heard.turn());
    assert!(text.contains("turn 2 of our conversation. The one before asked: \"one\""), "{text}");
    assert_eq!((heard.turn().attempt, starts(&heard)), (2, 2));
    let retries = retries(&heard, RetryScope::Turn);
    let seen: Vec<_> = retries.iter().map(|r| (r.attempt, r.http_status, r.reason.as_str())).collect();
    assert_eq!(seen, [(1, 529, "API_OVERLOADED")]);
    let text = completed(client.ask(&conversation, "three").await.turn()).to_owned();
    assert!(
        text.contains("turn 3 of our conversation. The first asked: \"one\"; the one before: \"two\""),
        "{text}"
    );
}

#[tokio::test]
async fn what_an_attempt_cost_that_came_to_nothing_is_in_the_turn_s_cost() {
    let result = serde_json::json!({
        "type": "result", "subtype": "success", "is_error": true, "api_error_status": 529, "num_turns": 1,
        "duration_ms": 1, "duration_api_ms": 1, "terminal_reason": "api_error", "result": "API Error: 529",
        "session_id": "s", "uuid": "u", "total_cost_usd": 0.75, "usage": { "input_tokens": 70_000, "output_tokens": 7 },
    });
    let turns = format!("turns:\n  - {{ once: instance, steps: [{{ raw: '{result}' }}, hang] }}\n");
    let server = quick(playing_turns(&turns)).start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    completed(heard.turn());
    let (turn, usage) = (heard.turn(), heard.turn().usage.unwrap());
    assert_eq!(turn.attempt, 2);
    assert!(turn.cost_usd > 0.75 && usage.input_tokens >= 70_000, "{turn:?}");
}

#[tokio::test]
async fn what_trying_again_cannot_mend_is_not_tried_again() {
    for (status, reason, attempts) in [
        (529, "API_OVERLOADED", 3),
        (500, "API_SERVER_ERROR", 3),
        (429, "RATE_LIMITED", 3),
        (401, "API_AUTHENTICATION", 1),
        (403, "API_PERMISSION", 1),
        (404, "MODEL_NOT_FOUND", 1),
        (400, "API_INVALID_REQUEST", 1),
    ] {
        let turns = format!("turns:\n  - {{ steps: [{{ fail: {{ status: {status} }} }}] }}\n");
        let server = quick(playing_turns(&turns)).start().await;
        let client = server.client().await;
        let heard = client.ask(&client.new_conversation().await, "hello").await;
        failed(heard.turn(), reason);
        assert_eq!((heard.turn().attempt, starts(&heard)), (attempts, attempts as usize), "{reason}");
    }
}

#[tokio::test]
async fn a_turn_waits_for_the_account_s_limit_to_be_lifted_when_it_has_the_time() {
    let limit = limit("rejected", Duration::from_secs(4));
    let turns =
        format!("turns:\n  - {{ once: instance, steps: [{limit}, {{ fail: {{ status: 429 }} }}] }}\n");
    let server = quick(playing_turns(&turns)).start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    completed(heard.turn());
    let [retry] = retries(&heard, RetryScope::Turn).try_into().expect("it is told once");
    let until = retry.until_time.expect("when it goes on");
    let ended = heard.turn().end_time.unwrap();
    assert!(ended.seconds >= until.seconds, "{until:?} {ended:?}");
    assert_eq!((retry.reason.as_str(), retry.http_status), ("RATE_LIMITED", 429));
}

#[tokio::test]
async fn a_turn_without_the_time_says_when_the_limit_is_lifted_and_others_need_not_ask() {
    let limit = limit("rejected", Duration::from_secs(7200));
    let turns = format!("turns:\n  - {{ steps: [{limit}, {{ fail: {{ status: 429 }} }}] }}\n");
    let server = quick(playing_turns(&turns)).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let heard = client.ask(&conversation, "hello").await;
    let message = failed(heard.turn(), "ACCOUNT_LIMIT").to_owned();
    assert!(message.contains("lifted at 20") && message.contains('Z'), "{message}");
    assert_eq!(heard.turn().attempt, 1);
    let begin = Instant::now();
    for conversation in [conversation, client.new_conversation().await] {
        failed(client.ask(&conversation, "again").await.turn(), "ACCOUNT_LIMIT");
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    let request = GetServerInfoRequest::default();
    let info = client.diagnostics.clone().get_server_info(request).await.unwrap().into_inner();
    let limit = info.account_limit.expect("the API told it");
    assert_eq!(
        (limit.status.as_str(), limit.kind.as_str(), limit.using_overage),
        ("rejected", "five_hour", false)
    );
    assert!(limit.reset_time.is_some());
    let shown = server.cli(&["status"]).await.expect(0).stdout;
    assert!(shown.contains("rejected (five_hour) until"), "{shown}");
}

#[tokio::test]
async fn a_call_that_must_come_back_much_later_ends_a_turn_that_has_not_so_long() {
    let hour = "turns:\n  - steps: [{ api_retry: { status: 429, error: rate_limit, delay_ms: 3600000 } }, { text: done }]\n";
    let server = playing_turns(hour).configuration("pool: { turn_timeout: 10m }\n").start().await;
    let client = server.client().await;
    let begin = Instant::now();
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    failed(heard.turn(), "ACCOUNT_LIMIT");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    let retries = retries(&heard, RetryScope::Api);
    assert!(retries[0].until_time.is_some(), "{retries:?}");
}

#[tokio::test]
async fn a_turn_that_waits_for_the_account_s_limit_stays_queued_when_the_server_ends() {
    let limit = limit("rejected", Duration::from_secs(60));
    let turns =
        format!("turns:\n  - {{ when: {{ equals: limited }}, steps: [{limit}, {{ text: done }}] }}\n");
    let mut server = playing_turns(&turns).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "limited").await.turn());
    // Its process is there and idle, and yet nothing of it is sent.
    let turn = submit(&client, &conversation, "waits").await;
    let begin = Instant::now();
    client.diagnostics.clone().drain(DrainRequest { timeout: None }).await.unwrap();
    assert_eq!(server.ended().await.code, Some(0), "{}", server.log());
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    server.restart().await;
    completed(&wait(&server.client().await, &turn.id).await);
}

#[tokio::test]
async fn a_warning_of_the_account_holds_up_nobody() {
    let limit = limit("allowed_warning", Duration::from_secs(7200));
    let server = playing_turns(&format!("turns:\n  - steps: [{limit}, {{ text: done }}]\n")).start().await;
    let client = server.client().await;
    for prompt in ["one", "two"] {
        let conversation = client.new_conversation().await;
        assert_eq!(completed(client.ask(&conversation, prompt).await.turn()), "done");
    }
}

#[tokio::test]
async fn a_compaction_is_told_with_its_sizes() {
    let boundary = r#"{"type":"system","subtype":"compact_boundary","compact_metadata":{"trigger":"auto","pre_tokens":190000,"post_tokens":9000},"session_id":"s","uuid":"u"}"#;
    let turns = format!("turns:\n  - steps: [{{ raw: '{boundary}' }}, {{ text: done }}]\n");
    let server = playing_turns(&turns).start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    completed(heard.turn());
    let compacted = heard.events.iter().find_map(|event| match &event.event {
        Some(Event::ContextCompacted(compacted)) => Some(compacted.clone()),
        _ => None,
    });
    let compacted = compacted.expect("it is told");
    assert_eq!(
        (compacted.trigger.as_str(), compacted.tokens_before, compacted.tokens_after),
        ("auto", 190_000, 9000)
    );
}
