//! The end of a turn: what the backend said becomes the one terminal record.

use std::sync::Arc;

use claude_comms_model::{
    Asked, Failure, FailureReason, Timestamp, Transition, Turn, TurnId, TurnState, Usage,
};
use claude_comms_store::{FinishTurn, Lease as Claim, Store, StoreError};
use claude_comms_stream_json::turn::{FailureReason as Cli, Outcome, TurnEnd};
use uuid::Uuid;

use super::{TurnTask, store_failed};
use crate::{
    backend::chain,
    hub::EventHub,
    live::LiveTurn,
    telemetry::{Asker, Figures, Settled, call::Origin},
};

/// What others than the backend say of a turn's end.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// Nobody says anything.
    Nothing,
    /// Somebody asked for its end.
    Asked(Transition),
    /// Its answer was judged.
    Judged(Transition),
}

/// A terminal record before it is written.
#[derive(Debug)]
pub(super) struct End {
    attempt: u32,
    lease: Option<Claim>,
    transition: Transition,
    usage: Usage,
    cost_usd: f64,
    first_token_time: Option<Timestamp>,
    in_context: bool,
    session_id: Option<Uuid>,
    last_assistant_uuid: Option<String>,
}

impl End {
    /// A turn that no process has.
    pub(super) fn unstarted(attempt: u32, transition: Transition) -> Self {
        Self {
            attempt,
            lease: None,
            transition,
            usage: Usage::default(),
            cost_usd: 0.0,
            first_token_time: None,
            in_context: false,
            session_id: None,
            last_assistant_uuid: None,
        }
    }

    /// Whether Claude knows its prompt nevertheless.
    pub(super) fn remembered(self, in_context: bool) -> Self {
        Self { in_context, ..self }
    }

    /// A turn that ended without the backend's word for it.
    pub(super) fn cut(
        turn: &Turn,
        claim: Claim,
        transition: Transition,
        in_context: bool,
        first_token_time: Option<Timestamp>,
    ) -> Self {
        Self { lease: Some(claim), first_token_time, in_context, ..Self::unstarted(turn.attempt, transition) }
    }

    /// A turn that the backend ended. An answer that was already complete is an answer, whoever asked for the turn's end in
    /// the same moment, unless it was judged to be none.
    pub(super) fn answered(
        turn: &Turn,
        claim: Claim,
        end: TurnEnd,
        said: Said,
        first_token_time: Option<Timestamp>,
        streamed: impl FnOnce() -> String,
    ) -> Self {
        let usage = usage_of(&end);
        let transition = match (end.outcome, said) {
            (_, Said::Judged(transition)) => transition,
            (Outcome::Answer { text }, _) => Transition::Complete { text, data_json: None },
            (_, Said::Asked(transition)) => transition,
            (Outcome::Failed { reason, message, .. }, Said::Nothing) => Transition::Fail {
                failure: Failure::new(reason_of(reason), message),
                partial_text: streamed(),
            },
            (Outcome::Aborted, Said::Nothing) => Transition::Fail {
                failure: Failure::new(
                    FailureReason::ExecutionError,
                    "the backend gave up the turn by itself",
                ),
                partial_text: streamed(),
            },
        };
        Self {
            attempt: turn.attempt,
            lease: Some(claim),
            transition,
            usage,
            cost_usd: end.cost_usd,
            first_token_time,
            in_context: true,
            session_id: Uuid::parse_str(&end.session_id).ok(),
            last_assistant_uuid: end.last_assistant_uuid,
        }
    }

    /// With what the stream told of an answer that got no end from the backend: its tokens, and its estimated cost.
    pub(super) fn with_cut(self, (usage, cost_usd): (Usage, f64)) -> Self {
        let usage = if self.usage == Usage::default() { usage } else { Usage::default() };
        let cost_usd = if self.cost_usd > 0.0 { 0.0 } else { cost_usd };
        self.plus((usage, cost_usd))
    }

    /// With what earlier answers of the same turn cost.
    pub(super) fn plus(mut self, (usage, cost_usd): (Usage, f64)) -> Self {
        self.usage += usage;
        self.cost_usd += cost_usd;
        self
    }

    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    pub(super) fn cost_usd(&self) -> f64 {
        self.cost_usd
    }

    fn into_finish(self, turn_id: TurnId) -> FinishTurn {
        FinishTurn {
            turn_id,
            lease: self.lease,
            attempt: self.attempt,
            transition: self.transition,
            usage: self.usage,
            cost_usd: self.cost_usd,
            first_token_time: self.first_token_time,
            in_context: self.in_context,
            session_id: self.session_id,
            last_assistant_uuid: self.last_assistant_uuid,
        }
    }
}

/// What the backend counted for one answer.
pub(super) fn usage_of(end: &TurnEnd) -> Usage {
    counted(end.usage)
}

/// Tokens as the records have them.
pub(super) fn counted(usage: claude_comms_stream_json::turn::Usage) -> Usage {
    Usage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cache_creation_input_tokens: usage.cache_creation_input_tokens,
        cache_read_input_tokens: usage.cache_read_input_tokens,
    }
}

fn reason_of(reason: Cli) -> FailureReason {
    match reason {
        Cli::ApiAuthentication => FailureReason::ApiAuthentication,
        Cli::ApiPermission => FailureReason::ApiPermission,
        Cli::ModelNotFound => FailureReason::ModelNotFound,
        Cli::RateLimited => FailureReason::RateLimited,
        Cli::ApiOverloaded => FailureReason::ApiOverloaded,
        Cli::ApiServerError => FailureReason::ApiServerError,
        Cli::PromptTooLong => FailureReason::PromptTooLong,
        Cli::ApiInvalidRequest => FailureReason::ApiInvalidRequest,
        Cli::ApiUnreachable => FailureReason::ApiUnreachable,
        Cli::ApiTimeout => FailureReason::ApiTimeout,
        Cli::NotLoggedIn => FailureReason::NotLoggedIn,
        Cli::MaxTurns => FailureReason::MaxTurns,
        Cli::BudgetExceeded => FailureReason::BudgetExceeded,
        _ => FailureReason::ExecutionError,
    }
}

impl TurnTask {
    /// Writes the terminal record, then tells, with what was asked. A record that is already there is told as it is.
    pub(super) async fn finish(&self, end: End, asked: Option<Box<Asked>>) {
        match self.store.finish_turn(end.into_finish(self.id)).await {
            Ok(finished) => {
                self.figures.turn_ended(&finished.turn, &self.asker, Settled::Here);
                let turn = std::sync::Arc::new(Turn { asked, ..finished.turn });
                self.live.finish(std::sync::Arc::clone(&turn), finished.event);
                self.hub.monitor().turn_ended(&turn);
            }
            Err(StoreError::AlreadyTerminal(turn)) => {
                let after = turn.last_sequence.saturating_sub(1);
                match self
                    .store
                    .turn_events(turn.id, after)
                    .await
                    .map(|events| events.into_iter().next_back())
                {
                    Ok(Some(event)) => self.live.finish((*turn).into(), event),
                    Ok(None) | Err(_) => self.live.detach("the turn has ended; ask for its record"),
                }
            }
            Err(error) => {
                tracing::error!(error = chain(&error), turn.id = %self.id, "terminal record could not be written");
                self.live.detach(store_failed(&error));
            }
        }
    }
}

/// Ends a turn whose task is gone.
pub(super) async fn internal(
    store: &dyn Store,
    hub: &EventHub,
    figures: &Figures,
    live: &LiveTurn,
    id: TurnId,
) {
    let ended = async {
        let Some(turn) = store.turn(id).await? else { return Ok(None) };
        let transition = Transition::Fail {
            failure: Failure::new(FailureReason::Internal, "the server failed; its log says more"),
            partial_text: live.text(),
        };
        let running = matches!(turn.state, TurnState::Running { .. });
        let lease = running.then_some(Claim { conversation_id: turn.conversation_id, epoch: turn.epoch });
        let end = End { lease, in_context: running, ..End::unstarted(turn.attempt, transition) };
        let finished = store.finish_turn(end.into_finish(id)).await?;
        let conversation = store.conversation(finished.turn.conversation_id).await;
        let asker = match conversation {
            Ok(Some(conversation)) => Asker::of(&conversation, Origin::default()),
            Ok(None) | Err(_) => Asker::default(),
        };
        figures.turn_ended(&finished.turn, &asker, Settled::Here);
        Ok(Some(finished))
    };
    match ended.await {
        Ok(Some(finished)) => {
            let turn = Arc::new(finished.turn);
            live.finish(Arc::clone(&turn), finished.event);
            hub.monitor().turn_ended(&turn);
        }
        Ok(None) | Err(StoreError::AlreadyTerminal(_)) => {}
        Err(error) => {
            tracing::error!(error = chain(&error), turn.id = %id, "terminal record could not be written")
        }
    }
}

#[cfg(test)]
mod tests;
