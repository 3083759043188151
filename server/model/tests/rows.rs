//! Records come back from their rows as they were, whatever their rows leave out.

use std::collections::BTreeMap;

use claude_comms_model::{
    CancelReason, ClaudeRefs, Conversation, ConversationId, ConversationState, Failure, FailureReason,
    InstanceId, ModuleRef, RequestId, ServerId, Timestamp, Turn, TurnId, TurnState, Usage,
};
use uuid::Uuid;

/// An id that no other number has.
fn id(number: u128) -> Uuid {
    Uuid::from_u128(number << 64 | 7)
}

fn usage() -> Usage {
    Usage { input_tokens: 1, output_tokens: 2, cache_creation_input_tokens: 3, cache_read_input_tokens: 4 }
}

fn module(name: &str) -> ModuleRef {
    ModuleRef {
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        revision: 4,
        origin: "registered".to_owned(),
    }
}

fn full_turn(state: TurnState) -> Turn {
    Turn {
        id: TurnId(Uuid::nil()),
        conversation_id: ConversationId(id(1)),
        request_id: RequestId(id(2)),
        payload_hash: "hash".to_owned(),
        prompt: "prompt".to_owned(),
        asked: None,
        state,
        attempt: 3,
        epoch: 4,
        server_id: ServerId(id(5)),
        incarnation: 6,
        target_instance: Some(InstanceId(id(7))),
        instance_id: Some(InstanceId(id(8))),
        timeout_micros: 9,
        in_context: true,
        claude: ClaudeRefs {
            session_id: Some(id(10)),
            user_uuid: Some(id(11)),
            repair_uuid: Some(id(19)),
            last_assistant_uuid: Some("twelve".to_owned()),
        },
        usage: usage(),
        cost_usd: 0.5,
        first_sequence: 13,
        last_sequence: 14,
        create_time: Timestamp(15),
        start_time: Some(Timestamp(16)),
        first_token_time: Some(Timestamp(17)),
        end_time: Some(Timestamp(18)),
    }
}

#[test]
fn turns_come_back_whole() {
    let failure = Failure::new(FailureReason::TurnTimeout, "late");
    let cancelled = Failure::new(CancelReason::CancelRequested, "asked");
    let partial_text = "par".to_owned();
    let mut turns: Vec<_> = [
        TurnState::Queued,
        TurnState::Running { instance_id: InstanceId(id(8)) },
        TurnState::Completed { text: "answer".to_owned(), data_json: Some("{}".to_owned()) },
        TurnState::Failed { failure, partial_text: partial_text.clone() },
        TurnState::Cancelled { failure: cancelled, partial_text },
    ]
    .map(full_turn)
    .into();
    turns.push(Turn {
        prompt: String::new(),
        attempt: 0,
        epoch: 0,
        target_instance: None,
        instance_id: None,
        in_context: false,
        claude: ClaudeRefs::default(),
        usage: Usage::default(),
        cost_usd: 0.0,
        start_time: None,
        first_token_time: None,
        end_time: None,
        ..full_turn(TurnState::Queued)
    });
    for turn in turns {
        let row = serde_json::to_string(&turn).unwrap();
        assert_eq!(serde_json::from_str::<Turn>(&row).unwrap(), turn, "{row}");
    }
}

#[test]
fn conversations_come_back_whole() {
    let full = Conversation {
        id: ConversationId(id(1)),
        title: "title".to_owned(),
        system_prompt: "be brief".to_owned(),
        model: Some("a model".to_owned()),
        labels: BTreeMap::from([("team".to_owned(), "red".to_owned())]),
        source_module: Some(module("marker")),
        target_module: Some(module("arangodb")),
        scene: "digest".to_owned(),
        scene_revision: 12,
        state: ConversationState::Active,
        epoch: 2,
        owner: Some((ServerId(id(3)), 4)),
        running: Some(TurnId(id(5))),
        turn_count: 6,
        usage: usage(),
        cost_usd: 0.5,
        last_sequence: 7,
        claude_session_id: Some(id(8)),
        last_assistant_uuid: Some("nine".to_owned()),
        create_time: Timestamp(10),
        update_time: Timestamp(11),
    };
    let new = Conversation::new(full.id, full.create_time);
    for conversation in [full, new] {
        let row = serde_json::to_string(&conversation).unwrap();
        assert_eq!(serde_json::from_str::<Conversation>(&row).unwrap(), conversation, "{row}");
    }
}
