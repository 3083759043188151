//! The conversation after data were asked for once more: the same process, the same session, all of it remembered.

use claude_comms_proto::v1::{QueryModuleRequest, turn_event::Event};
use claude_comms_tests::{Reply, processes::Kind};

use super::asking::{answer, assert_data, context_of, conversation_of, data, further, marker_asks_arangodb};
use crate::real_cli::stage::{Stage, assert_answer, assert_failed, count};

pub(super) const SCHEMA: &str = r#"{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}"#;

/// A question whose answer must have the field `n`.
pub(super) fn demanding_n(mut request: QueryModuleRequest) -> QueryModuleRequest {
    request.output_schema = SCHEMA.into();
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_repair_the_conversation_goes_on_in_its_process_and_session() {
    let stage = Stage::new().await;
    stage.api.queue(data(r#"{"m": 1}"#));
    stage.api.queue(data(r#"{"n": 1}"#));
    let first = stage.query_module(demanding_n(marker_asks_arangodb("one"))).await;
    assert_data(&first, r#"{"n": 1}"#);
    let process = stage.claude_pid();
    stage.api.queue(Reply::text("two"));
    let second = stage.query_module(further(conversation_of(&first), "two?")).await;
    assert_answer(&second, "two");
    // Never fitting is no end of the conversation either.
    stage.api.queue(data(r#"{"m": 3}"#));
    stage.api.queue(data(r#"{"m": 4}"#));
    let third = stage.query_module(demanding_n(further(conversation_of(&first), "three?"))).await;
    assert_failed(third.turn(), "INVALID_OUTPUT");
    stage.api.queue(Reply::text("four"));
    let fourth = stage.query_module(further(conversation_of(&first), "four?")).await;
    assert_answer(&fourth, "four");

    assert_eq!((stage.claude_pid(), stage.server.processes().of(Kind::Claude).len()), (process, 1));
    assert_eq!(stage.session_files().len(), 1, "one session");
    for heard in [&first, &second, &third, &fourth] {
        assert_eq!(count(heard, |event| matches!(event, Event::SessionReset(_))), 0);
        assert_eq!((heard.turn().attempt, heard.turn().in_context), (1, true));
        assert_eq!(heard.turn().instance_id, first.turn().instance_id);
    }
    let requests = stage.api.requests();
    assert_eq!(requests.len(), 6);
    let last = &requests[5];
    let users = last.user_texts();
    let sent = [&first, &second, &third, &fourth].map(|heard| heard.turn().message.as_str());
    assert_eq!([&users[0], &users[2], &users[3], &users[5]], sent, "between them what asked once more");
    assert_eq!(
        last.assistant_texts(),
        [
            &answer(r#"{"m": 1}"#),
            &answer(r#"{"n": 1}"#),
            "two",
            &answer(r#"{"m": 3}"#),
            &answer(r#"{"m": 4}"#)
        ]
    );
    assert!(requests.iter().all(|request| context_of(request) == context_of(last)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_is_remembered_by_the_next_process() {
    let stage = Stage::new().await;
    stage.api.queue(data(r#"{"m": 1}"#));
    stage.api.queue(data(r#"{"n": 1}"#));
    let first = stage.query_module(demanding_n(marker_asks_arangodb("one"))).await;
    assert_data(&first, r#"{"n": 1}"#);
    stage.kill_claude().await;
    stage.api.queue(Reply::text("two"));
    let second = stage.query_module(further(conversation_of(&first), "two?")).await;
    assert_answer(&second, "two");
    assert_eq!(count(&second, |event| matches!(event, Event::SessionReset(_))), 0);
    let last = stage.request(2);
    assert_eq!(last.assistant_texts(), [answer(r#"{"m": 1}"#), answer(r#"{"n": 1}"#)]);
    assert_eq!(last.user_texts().len(), 3);
    assert_eq!(last.user_texts()[..2], stage.request(1).user_texts());
}
