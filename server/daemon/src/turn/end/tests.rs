//! Who has the last word on a turn's end.

use std::time::Duration;

use claude_comms_model::{CancelReason, ConversationId, RequestId, ServerId};

use super::*;

fn turn() -> Turn {
    Turn {
        id: TurnId(Uuid::nil()),
        conversation_id: ConversationId(Uuid::nil()),
        request_id: RequestId(Uuid::nil()),
        payload_hash: String::new(),
        prompt: "hello".to_owned(),
        asked: None,
        state: TurnState::Queued,
        attempt: 1,
        epoch: 1,
        server_id: ServerId(Uuid::nil()),
        incarnation: 1,
        target_instance: None,
        instance_id: None,
        timeout_micros: 1,
        in_context: false,
        claude: claude_comms_model::ClaudeRefs::default(),
        usage: Usage::default(),
        cost_usd: 0.0,
        first_sequence: 1,
        last_sequence: 1,
        create_time: Timestamp(0),
        start_time: None,
        first_token_time: None,
        end_time: None,
    }
}

fn ended(outcome: Outcome, said: Said) -> Transition {
    let claim = Claim { conversation_id: ConversationId(Uuid::nil()), epoch: 1 };
    let end = TurnEnd {
        outcome,
        usage: claude_comms_stream_json::turn::Usage::default(),
        cost_usd: 0.0,
        session_id: String::new(),
        last_assistant_uuid: None,
        num_turns: 1,
        duration: Duration::ZERO,
    };
    End::answered(&turn(), claim, end, said, None, String::new).transition
}

fn cancel() -> Transition {
    let failure = Failure::new(CancelReason::CancelRequested, "asked for");
    Transition::Cancel { failure, partial_text: "par".to_owned() }
}

fn answer() -> Outcome {
    Outcome::Answer { text: "whole".to_owned() }
}

#[test]
fn a_complete_answer_is_an_answer_whoever_asked_for_the_end() {
    let completed = Transition::Complete { text: "whole".to_owned(), data_json: None };
    assert_eq!(ended(answer(), Said::Nothing), completed);
    assert_eq!(ended(answer(), Said::Asked(cancel())), completed);
}

#[test]
fn an_answer_that_was_judged_is_what_the_judgement_says() {
    let with_data = Transition::Complete { text: "whole".to_owned(), data_json: Some("{}".to_owned()) };
    assert_eq!(ended(answer(), Said::Judged(with_data.clone())), with_data);
    assert_eq!(ended(answer(), Said::Judged(cancel())), cancel());
}

#[test]
fn without_an_answer_who_asked_for_the_end_gets_it() {
    assert_eq!(ended(Outcome::Aborted, Said::Asked(cancel())), cancel());
    assert!(matches!(ended(Outcome::Aborted, Said::Nothing), Transition::Fail { .. }));
}
