//! Whole turns with a simulated CLI: asked plainly and through modules, in every round and in turning order.

use std::time::Instant;

use claude_comms_proto::v1::{QueryModuleRequest, TurnEvent};
use tonic::Streaming;

use super::compose::QUESTION;
use crate::{
    conversation::{Connection, hear},
    samples::Turns,
};

/// Data that `answer.yaml` gives.
const SCHEMA: &str = r#"{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],"additionalProperties":false}"#;

/// Turns of the ways to ask.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// SendMessage in a conversation without modules.
    pub(super) plain: Turns,
    /// QueryModule in a conversation of Marker with ArangoDB.
    pub(super) module: Turns,
    /// The same with a schema that the answer's data must fit.
    pub(super) data: Turns,
}

/// Asks so many times each way, always in the same two conversations.
pub(super) async fn warm(connection: &mut Connection, prompt: &str, warm_up: usize, rounds: usize) -> Asked {
    let mut plain = connection.converse(None).await;
    plain.ask(prompt).await;
    let mut first = query(connection, String::new(), prompt, "").await;
    let conversation = conversation_of(&mut first).await;
    hear(Instant::now(), &mut first, &mut 0).await;
    let mut all = Asked::default();
    for round in 0..warm_up + rounds {
        for place in 0..3 {
            let (turns, turn) = match (round + place) % 3 {
                0 => (&mut all.plain, plain.ask(prompt).await),
                way => {
                    let schema = if way == 1 { "" } else { SCHEMA };
                    let begin = Instant::now();
                    let mut events = query(connection, conversation.clone(), prompt, schema).await;
                    let turn = hear(begin, &mut events, &mut 0).await;
                    (if way == 1 { &mut all.module } else { &mut all.data }, turn)
                }
            };
            if round >= warm_up {
                turns.push(turn);
            }
        }
    }
    all
}

/// Asks so many times each way, always in a new conversation: with what makes the conversation, and its process.
pub(super) async fn fresh(connection: &mut Connection, rounds: usize) -> Asked {
    let mut all = Asked::default();
    for round in 0..rounds {
        for place in 0..2 {
            let begin = Instant::now();
            if (round + place) % 2 == 0 {
                let mut conversation = connection.converse(None).await;
                let made = begin.elapsed();
                let mut turn = conversation.ask(QUESTION).await;
                turn.first_token += made;
                turn.whole += made;
                all.plain.push(turn);
            } else {
                let mut events = query(connection, String::new(), QUESTION, "").await;
                all.module.push(hear(begin, &mut events, &mut 0).await);
            }
        }
    }
    all
}

async fn query(
    connection: &mut Connection,
    conversation_id: String,
    prompt: &str,
    schema: &str,
) -> Streaming<TurnEvent> {
    let request = QueryModuleRequest {
        source: "marker".to_owned(),
        target: "arangodb".to_owned(),
        prompt: prompt.to_owned(),
        conversation_id,
        output_schema: schema.to_owned(),
        ..QueryModuleRequest::default()
    };
    connection.modules.query_module(request).await.expect("the turn is accepted").into_inner()
}

async fn conversation_of(events: &mut Streaming<TurnEvent>) -> String {
    use claude_comms_proto::v1::turn_event::Event;
    let first = events.message().await.expect("the stream holds").expect("a turn has events");
    match first.event {
        Some(Event::Accepted(accepted)) => accepted.conversation_id,
        other => panic!("a turn begins with `accepted`, not {other:?}"),
    }
}
