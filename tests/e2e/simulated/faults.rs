//! Whatever a Claude process does, its turn gets one end with a typed reason, and the next turn is answered.

use std::time::{Duration, Instant};

use claude_comms_proto::v1::{RetryScope, TurnRetrying, TurnState, turn_event::Event};
use claude_comms_tests::{client::Heard, processes};
use tonic::Code;

use super::support::{
    HANG_ON_REQUEST, cancel, cancelled, completed, failed, playing, playing_turns, refused, start_instance,
    starts, submit_running, try_start_instance,
};

fn retries(heard: &Heard, scope: RetryScope) -> Vec<TurnRetrying> {
    let retries = heard.events.iter().filter_map(|event| match &event.event {
        Some(Event::Retrying(retrying)) if retrying.scope() == scope => Some(retrying.clone()),
        _ => None,
    });
    retries.collect()
}

#[tokio::test]
async fn a_process_that_dies_before_its_first_output_is_replaced_and_the_turn_answered() {
    let server = playing("crash_before_output_once").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let heard = client.ask(&conversation, "hello").await;
    let turn = heard.turn();
    assert!(completed(turn).contains("\"hello\"\nThis is turn 1 of"), "{}", turn.text);
    assert_eq!((turn.attempt, starts(&heard)), (2, 2));
    let retries = retries(&heard, RetryScope::Process);
    assert_eq!(
        (retries.len(), retries[0].attempt, retries[0].reason.as_str()),
        (1, 1, "PROCESS_DIED"),
        "{retries:?}"
    );
    let text = completed(client.ask(&conversation, "again").await.turn()).to_owned();
    assert!(text.contains("turn 2 of our conversation. The one before asked: \"hello\""), "{text}");
}

#[tokio::test]
async fn processes_that_always_die_before_output_end_the_turn_after_the_attempts_allowed() {
    let server = playing("crash_before_output").configuration("retry:\n  max_attempts: 2\n").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let heard = client.ask(&conversation, "hello").await;
    let message = failed(heard.turn(), "PROCESS_DIED");
    assert!(message.contains("137"), "the exit code is told: {message}");
    assert_eq!((heard.turn().attempt, starts(&heard), retries(&heard, RetryScope::Process).len()), (2, 2, 1));
    assert!(heard.turn().partial_text.is_empty());
}

#[tokio::test]
async fn a_process_that_dies_in_its_answer_fails_the_turn_with_what_had_come() {
    let server = playing("crash_mid_answer_once").start().await;
    let client = server.client().await;
    // The same instance again: its next process is the one that answers.
    let conversation = start_instance(&client, "one").await.conversation_id;
    let heard = client.ask(&conversation, "hello").await;
    failed(heard.turn(), "PROCESS_DIED");
    assert_eq!((heard.turn().attempt, heard.turn().partial_text.clone()), (1, "word ".repeat(20)));
    assert_eq!(heard.text, heard.turn().partial_text);
    completed(client.ask(&conversation, "again").await.turn());
}

#[tokio::test]
async fn a_process_that_dies_after_output_began_is_not_retried_even_without_text() {
    let server = playing("crash_after_message_start").start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    let message = failed(heard.turn(), "PROCESS_DIED");
    assert!(message.contains("exit code 7"), "{message}");
    assert_eq!(starts(&heard), 1);
}

#[tokio::test]
async fn lines_that_nobody_understands_are_skipped() {
    let noise = "turns:\n  - steps: [{ garbage: not_json }, { garbage: unknown_subtype }, { text: \"still \" }, \
                 { garbage: unknown_type }, { garbage: unknown_stream_event }, { raw: \"\" }, { text: \"one answer\" }]\n";
    for (server, expected) in [
        (playing_turns(noise), "still one answer"),
        (playing("garbage_at_start"), "[simulated] "),
        (playing("stderr_noise"), "[simulated] "),
        (playing("thinking"), "Here is the answer."),
    ] {
        let server = server.start().await;
        let client = server.client().await;
        let conversation = client.new_conversation().await;
        let heard = client.ask(&conversation, "hello").await;
        let text = completed(heard.turn());
        assert!(text.starts_with(expected), "{text}");
        assert_eq!((text, heard.turn().attempt), (heard.text.as_str(), 1));
        completed(client.ask(&conversation, "again").await.turn());
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_read_ends_the_turn_with_a_reason_and_not_in_silence() {
    let server =
        playing_turns("turns:\n  - steps: [{ text: half }, { garbage: broken_json }, hang]\n").start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    let message = failed(heard.turn(), "PROTOCOL_ERROR");
    assert!(message.contains("json"), "{message}");
    assert_eq!(heard.turn().partial_text, "half");
}

#[tokio::test]
async fn a_line_beyond_the_limit_is_a_protocol_error_that_names_the_limit() {
    let server = playing("line_too_long").start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    let message = failed(heard.turn(), "PROTOCOL_ERROR");
    assert!(message.contains("67108864") || message.contains("64 MiB"), "{message}");
}

#[tokio::test]
async fn an_answer_of_8_mebibytes_streams_whole_and_its_record_says_what_was_cut() {
    let server = playing("huge_line").start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    assert_eq!(heard.text.len(), 8 << 20);
    let text = completed(heard.turn());
    assert_eq!((text.len(), heard.turn().truncated_fields.clone()), (512 << 10, vec!["text".to_owned()]));
    assert!(heard.text.starts_with(text));
    let mut again = super::support::watch(&client, heard.turn_id(), None, 0).await;
    again.to_end().await;
    assert!(again.text == heard.text, "what was kept is what was streamed");
}

#[tokio::test]
async fn a_turn_that_does_not_end_in_its_time_fails_and_its_process_goes_on() {
    for (name, partial) in [("hang", "Let me think"), ("hang_before_output", "")] {
        let server = playing(name).configuration("pool:\n  turn_timeout: 1s\n").start().await;
        let client = server.client().await;
        let instance = start_instance(&client, "one").await;
        let heard = client.ask(&instance.conversation_id, "hello").await;
        failed(heard.turn(), "TURN_TIMEOUT");
        assert_eq!(heard.turn().partial_text, partial, "{name}");
        let claudes = server.processes().claudes();
        assert_eq!(claudes.iter().map(|c| c.pid).collect::<Vec<_>>(), [instance.process_id], "{name}");
    }
}

#[tokio::test]
async fn a_turn_that_waits_too_long_for_its_conversation_fails_and_never_runs() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let hanging = submit_running(&client, &conversation, "hang").await;
    let request = claude_comms_proto::v1::SendMessageRequest {
        conversation_id: conversation.clone(),
        prompt: "short of time".into(),
        timeout: Some(Duration::from_millis(300).try_into().unwrap()),
        ..Default::default()
    };
    let mut heard = client.send_request(request).await.unwrap();
    failed(heard.to_end().await, "TURN_TIMEOUT");
    assert_eq!((starts(&heard), heard.turn().attempt), (0, 0));
    cancel(&client, hanging.turn_id()).await;
    let text = completed(client.ask(&conversation, "next").await.turn()).to_owned();
    assert!(!text.contains("short of time"), "{text}");
}

#[tokio::test]
async fn a_process_deaf_to_interrupts_is_ended_within_its_grace() {
    let server = playing("hang").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let hanging = submit_running(&client, &conversation, "hello").await;
    let claude = server.processes().claudes().pop().unwrap().pid;
    processes::signal(claude, rustix::process::Signal::STOP);
    let begin = Instant::now();
    let ended = cancel(&client, hanging.turn_id()).await;
    cancelled(&ended, "CANCEL_REQUESTED");
    assert_eq!(ended.partial_text, "Let me think");
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "10 s of grace, then it is killed: {:?}",
        begin.elapsed()
    );
    assert!(!processes::is_alive(claude), "the deaf process is gone");
}

#[tokio::test]
async fn a_turn_can_be_cancelled_while_its_process_starts() {
    let server = playing("deaf_initialize").start().await;
    let client = server.client().await;
    let turn = super::support::submit(&client, &client.new_conversation().await, "hello").await;
    claude_comms_tests::eventually(claude_comms_tests::PATIENCE, "a process that starts", async || {
        (!server.processes().claudes().is_empty()).then_some(())
    })
    .await;
    let ended = cancel(&client, &turn.id).await;
    cancelled(&ended, "CANCEL_REQUESTED");
    assert!(!ended.in_context, "it reached no process");
    claude_comms_tests::eventually(processes::GONE_WITHIN, "the half-started process is gone", async || {
        server.processes().claudes().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_process_that_exits_at_its_start_says_why_on_every_way() {
    let server = playing("exit_at_start").start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    let message = failed(heard.turn(), "SPAWN_FAILED");
    assert!(message.contains("the disk is full") && message.contains("code 1"), "{message}");
    assert_eq!(heard.turn().attempt, 0, "it reached no process");

    let status = refused(try_start_instance(&client, "one").await, Code::FailedPrecondition, "SPAWN_FAILED");
    assert!(status.message().contains("the disk is full"), "{status:?}");
    let ran = server.cli(&["start-instance", "--name", "one"]).await.expect(1);
    assert!(ran.stderr.contains("SPAWN_FAILED") && ran.stderr.contains("the disk is full"), "{}", ran.stderr);
    // Nothing of a start that failed stays: neither an instance nor a conversation.
    let list = server.cli(&["list-instances", "--all", "--output", "json"]).await.expect(0).json();
    assert!(list["instances"].as_array().unwrap().iter().all(|i| i["name"] != "one"), "{list}");
    assert_eq!(
        server.cli(&["list-instances", "--output", "json"]).await.expect(0).json()["instances"],
        serde_json::json!([])
    );
    let list = server.cli(&["list-conversations", "--output", "json"]).await.expect(0).json();
    assert_eq!(list["conversations"].as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test]
async fn a_refused_initialize_fails_the_turn_and_leaves_no_process() {
    let server = playing("refused_initialize").start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    let message = failed(heard.turn(), "SPAWN_FAILED");
    assert!(message.contains("simulated refusal"), "{message}");
    assert!(server.processes().claudes().is_empty());
}

#[tokio::test]
async fn overload_is_seen_as_retrying_and_then_answered() {
    let server = playing("api_retry").start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    completed(heard.turn());
    assert_eq!(heard.turn().attempt, 1, "the backend's own retries are no attempts of ours");
    let retries = retries(&heard, RetryScope::Api);
    let seen: Vec<_> = retries.iter().map(|r| (r.attempt, r.http_status, r.reason.as_str())).collect();
    assert_eq!(seen, [(1, 529, "overloaded"), (2, 529, "overloaded"), (3, 529, "overloaded")]);
    assert!(retries.iter().all(|r| r.delay.is_some_and(|d| d.nanos > 0)), "{retries:?}");
}

#[tokio::test]
async fn every_failure_of_the_api_has_its_reason_and_the_next_turn_is_answered() {
    let failures = [
        ("400", "{ status: 400 }", "API_INVALID_REQUEST"),
        ("401", "{ status: 401 }", "API_AUTHENTICATION"),
        ("403", "{ status: 403 }", "API_PERMISSION"),
        ("404", "{ status: 404 }", "MODEL_NOT_FOUND"),
        ("429", "{ status: 429 }", "RATE_LIMITED"),
        ("500", "{ status: 500 }", "API_SERVER_ERROR"),
        ("529", "{ status: 529 }", "API_OVERLOADED"),
        ("nobody", "{}", "API_UNREACHABLE"),
        ("long", "{ status: 400, message: \"Prompt is too long\" }", "PROMPT_TOO_LONG"),
        (
            "rounds",
            "{ subtype: error_max_turns, message: \"Reached maximum number of turns (1)\" }",
            "MAX_TURNS",
        ),
        (
            "money",
            "{ subtype: error_max_budget_usd, message: \"Reached maximum budget ($1)\" }",
            "BUDGET_EXCEEDED",
        ),
        ("inside", "{ subtype: error_during_execution, message: \"simulated failure\" }", "EXECUTION_ERROR"),
        ("login", "{ message: \"Not logged in · Please run /login\" }", "NOT_LOGGED_IN"),
    ];
    let rules = failures.map(|(prompt, how, _)| {
        format!("  - {{ when: {{ equals: \"{prompt}\" }}, steps: [{{ text: half }}, {{ fail: {how} }}] }}\n")
    });
    let server = playing_turns(&format!("turns:\n{}", rules.concat())).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    for (prompt, _, reason) in failures {
        let heard = client.ask(&conversation, prompt).await;
        let message = failed(heard.turn(), reason);
        assert!(!message.is_empty(), "{reason}");
        assert_eq!(heard.turn().state(), TurnState::Failed);
        completed(client.ask(&conversation, "next").await.turn());
    }
}

#[tokio::test]
async fn a_tool_round_is_seen_and_text_before_it_is_not_the_answer() {
    let server = playing("tool_round").start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    let text = completed(heard.turn());
    assert_eq!(text, heard.text);
    let call = heard.events.iter().find_map(|e| match &e.event {
        Some(Event::ToolCall(call)) => Some(call.clone()),
        _ => None,
    });
    let result = heard.events.iter().find_map(|e| match &e.event {
        Some(Event::ToolResult(result)) => Some(result.clone()),
        _ => None,
    });
    let (call, result) = (call.expect("the call is told"), result.expect("its result is told"));
    assert_eq!(call.id, result.id);
    assert!(!result.is_error && !call.name.is_empty());
    let input: serde_json::Value = serde_json::from_str(&call.input_json).unwrap();
    assert!(input.is_object(), "{input}");
}

#[tokio::test]
async fn a_turn_without_a_word_is_completed_without_a_word() {
    let server = playing("empty_answer").start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    assert_eq!((completed(heard.turn()), heard.text.as_str()), ("", ""));
}
