//! Asking one question, through modules or plainly, and what the answer cost.

use claude_comms_context::estimate_tokens;
use claude_comms_proto::v1::{
    CreateConversationRequest, PreviewContextRequest, QueryModuleRequest, SendMessageRequest, Turn,
    TurnState, turn_event::Event,
};
use claude_comms_tests::Client;
use tonic::{Status, Streaming};

use crate::{grade::Grade, question::Question};

/// System prompt of the plain conversation: without one the CLI would take its own, which is another experiment.
const PLAIN: &str = "You are a helpful assistant. Answer the question.";

/// Refusals that every further question would meet too.
const HOPELESS: &[&str] = &[
    "NOT_LOGGED_IN",
    "API_AUTHENTICATION",
    "API_PERMISSION",
    "MODEL_NOT_FOUND",
    "API_UNREACHABLE",
    "SPAWN_FAILED",
    "CLAUDE_NOT_FOUND",
    "CLAUDE_TOO_OLD",
];

/// A question's answer.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) grade: Grade,
    /// Tokens of the whole input as the API counted them, cached ones too.
    pub(crate) input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) cost_usd: f64,
    /// Tokens of what was sent, as we estimate them; `None` where more than the one message was sent.
    pub(crate) estimated_tokens: Option<u32>,
    /// Why nobody else needs to be asked.
    pub(crate) hopeless: Option<String>,
}

/// Asks as one module asks another.
pub(crate) async fn with_context(client: &Client, question: &Question) -> Result<Asked, Status> {
    let schema = question.schema.as_ref().map(|schema| schema.value().to_string()).unwrap_or_default();
    let preview = PreviewContextRequest {
        source: question.source.clone(),
        target: question.target.clone(),
        prompt: question.prompt.clone(),
        output_schema: schema.clone(),
        ..PreviewContextRequest::default()
    };
    let mut modules = client.modules.clone();
    let estimated = modules.preview_context(preview).await?.into_inner().estimated_tokens;
    let request = QueryModuleRequest {
        source: question.source.clone(),
        target: question.target.clone(),
        prompt: question.prompt.clone(),
        output_schema: schema,
        ..QueryModuleRequest::default()
    };
    let (turn, repaired) = hear(modules.query_module(request).await?.into_inner()).await?;
    Ok(asked(question, &turn, (!repaired).then_some(estimated)))
}

/// Asks the same with nobody's context.
pub(crate) async fn without_context(client: &Client, question: &Question) -> Result<Asked, Status> {
    let mut conversations = client.conversations.clone();
    let request =
        CreateConversationRequest { system_prompt: PLAIN.to_owned(), ..CreateConversationRequest::default() };
    let conversation = conversations.create_conversation(request).await?.into_inner();
    let request = SendMessageRequest {
        conversation_id: conversation.id,
        prompt: question.prompt.clone(),
        output_schema: question.schema.as_ref().map(|schema| schema.value().to_string()).unwrap_or_default(),
        ..SendMessageRequest::default()
    };
    let (turn, repaired) = hear(conversations.send_message(request).await?.into_inner()).await?;
    let message = if turn.message.is_empty() { &turn.prompt } else { &turn.message };
    let estimated = estimate_tokens(PLAIN) + estimate_tokens(message);
    Ok(asked(question, &turn, (!repaired).then_some(estimated)))
}

/// The turn as it ended, and whether Claude was asked for another answer in it.
async fn hear(mut events: Streaming<claude_comms_proto::v1::TurnEvent>) -> Result<(Turn, bool), Status> {
    let (mut end, mut repaired) = (None, false);
    while let Some(event) = events.message().await? {
        match event.event {
            Some(Event::TextReset(reset)) => repaired |= reset.reason == "repair",
            Some(Event::Completed(completed)) => end = completed.turn,
            Some(Event::Failed(failed)) => end = failed.turn,
            Some(Event::Cancelled(cancelled)) => end = cancelled.turn,
            _ => {}
        }
    }
    end.map(|turn| (turn, repaired))
        .ok_or_else(|| Status::internal("the stream ended without the turn's end"))
}

fn asked(question: &Question, turn: &Turn, estimated_tokens: Option<u32>) -> Asked {
    let usage = turn.usage.unwrap_or_default();
    let failure = turn.failure.clone().unwrap_or_default();
    let grade = if turn.state() == TurnState::Completed {
        question.grade(&turn.text)
    } else {
        Grade::Wrong(vec![format!("{}: {}", failure.reason, failure.message)])
    };
    Asked {
        grade,
        input_tokens: usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens,
        output_tokens: usage.output_tokens,
        cost_usd: turn.cost_usd,
        estimated_tokens,
        hopeless: HOPELESS
            .contains(&failure.reason.as_str())
            .then(|| format!("{}: {}", failure.reason, failure.message)),
    }
}
