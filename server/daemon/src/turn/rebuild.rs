//! A conversation whose memory is lost, or has become too long, told again from our records: a new session is given the
//! newest turns in front of the message.

use claude_comms_context::{Digest, PastTurn, digest, estimate_tokens};
use claude_comms_model::{Failure, FailureReason, TurnStateKind};
use claude_comms_store::TurnQuery;
use claude_comms_stream_json::turn::{FailureReason as Cli, Outcome, TurnEnd};

use super::{drive::Drive, retries::Again};
use crate::backend::chain;

/// Most turns that are looked at.
const TURNS: usize = 200;

impl Drive<'_> {
    /// What is sent: the message, with what Claude has forgotten before it.
    pub(super) fn message(&self) -> String {
        match &self.memory {
            Some(memory) => format!("{memory}{}", self.turn.message()),
            None => self.turn.message().to_owned(),
        }
    }

    /// Tells the conversation from the records, in front of the message. The reason of the loss, with what came of it.
    pub(super) async fn rebuild(&mut self, reason: String) -> String {
        self.memory = None;
        let query = TurnQuery {
            conversation_id: Some(self.conversation.id),
            states: vec![TurnStateKind::Completed],
            newest_first: true,
            limit: TURNS,
            ..TurnQuery::default()
        };
        let turns = match self.task.store.turns(query).await {
            Ok(page) => page.items,
            Err(error) => {
                tracing::warn!(error = chain(&error), turn.id = %self.turn.id, "earlier turns cannot be read");
                Vec::new()
            }
        };
        let past: Vec<PastTurn> = turns
            .into_iter()
            .rev()
            .map(|turn| PastTurn {
                answer: turn.shown_text().to_owned(),
                state: turn.state.kind().as_str().to_owned(),
                prompt: turn.prompt,
            })
            .collect();
        let (message, system) = (self.turn.message().to_owned(), self.conversation.system_prompt.clone());
        let budget = self.task.token_budget;
        let told = tokio::task::spawn_blocking(move || {
            let taken = estimate_tokens(&message).saturating_add(estimate_tokens(&system));
            digest(&past, budget.saturating_sub(taken))
        });
        match told.await {
            Ok(Some(Digest { text, turns })) => {
                self.memory = Some(text);
                let s = if turns == 1 { "" } else { "s" };
                format!("{reason}; rebuilt from the records of {turns} turn{s}")
            }
            Ok(None) | Err(_) => reason,
        }
    }

    /// A conversation that has become too long is told again once, where there is something to tell.
    pub(super) fn too_long(&mut self, end: &TurnEnd) -> Option<Again> {
        let Outcome::Failed { reason: Cli::PromptTooLong, http_status, message } = &end.outcome else {
            return None;
        };
        if self.output_began || self.anew || self.conversation.last_assistant_uuid.is_none() {
            return None;
        }
        self.anew = true;
        let why = Failure::new(FailureReason::PromptTooLong, message.clone());
        Some(Again { why, by_api: true, http_status: *http_status })
    }
}
