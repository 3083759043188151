//! From a checked request to a turn, and to its events: what the handlers of all services that take questions share.

use std::{sync::Arc, time::Duration};

use claude_comms_context::Focus;
use claude_comms_model::{Conversation, ConversationId, RequestId, TurnId};
use claude_comms_store::{RequestScope, StoreError, TurnQuery, UpgradeConversation, UpgradeOutcome};
use tonic::{Response, Status};
use uuid::Uuid;

use super::{Context, events::TurnEvents, status::ApiError, validate::Check};
use crate::{
    dispatcher::{NewTurn, Refused, Submitted},
    live::LiveTurn,
    query::{Preparing, Query, QueryError},
    telemetry::call::Origin,
    turn::has_ended,
};

/// Of a turn that has not ended and that this server lets go of.
pub(super) const NOT_IN_HANDS: &str = "the turn is not in this server's hands at the moment";

/// A prompt as every RPC that takes one has it.
pub(super) struct Prompt<'a> {
    pub text: &'a str,
    pub request_id: &'a str,
    pub timeout: Option<&'a prost_types::Duration>,
}

impl Context {
    pub(super) async fn conversation(&self, id: ConversationId) -> Result<Conversation, ApiError> {
        self.store.conversation(id).await?.ok_or(ApiError::NoConversation(id))
    }

    /// What questions are prepared with.
    pub(super) fn preparing(&self) -> Preparing<'_> {
        Preparing { store: &self.store, modules: &self.modules }
    }

    /// Hands a question to the dispatcher. One whose turn is known gets that turn, whatever keeps new ones out now.
    pub(super) async fn submit(&self, query: Query) -> Result<Submitted, ApiError> {
        let (scope, payload_hash) = (query.scope(), query.payload_hash());
        if let Some(request_id) = query.request_id
            && let Some(known) = self.submitted(scope, request_id, &payload_hash).await?
        {
            return Ok(known);
        }
        // An upgrade may come between a message and its acceptance; then it is made again, from the new context.
        match self.submit_prepared(&query, scope, &payload_hash).await {
            Err(ApiError::Refused(Refused::ContextChanged)) => {
                self.submit_prepared(&query, scope, &payload_hash).await
            }
            other => other,
        }
    }

    async fn submit_prepared(
        &self,
        query: &Query,
        scope: RequestScope,
        payload_hash: &str,
    ) -> Result<Submitted, ApiError> {
        let prepared = self.preparing().prepare(query).await?;
        self.backend.ready().await.map_err(Refused::NotReady)?;
        let budgets = &self.observed.budgets;
        budgets
            .admit(&prepared.conversation)
            .map_err(|exceeded| Refused::BudgetExceeded(Box::new(exceeded)))?;
        let asked = prepared.asked(query);
        if asked.is_none() && query.prompt.is_empty() {
            return Err(ApiError::BadFields(vec![("prompt".to_owned(), "must not be empty".to_owned())]));
        }
        let longest = prepared.limit.map_or(self.turn_timeout(), |limit| limit.min(self.turn_timeout()));
        let new = NewTurn {
            conversation: prepared.conversation,
            new_conversation: prepared.new,
            prompt: query.prompt.clone(),
            asked,
            request_id: query.request_id.unwrap_or_else(|| RequestId(Uuid::new_v4())),
            scope,
            payload_hash: payload_hash.to_owned(),
            timeout: query.timeout.unwrap_or(longest),
            target: query.instance,
            origin: Origin::current(),
        };
        Ok(self.dispatcher.submit(new).await?)
    }

    /// The turn that a request has made already.
    async fn submitted(
        &self,
        scope: RequestScope,
        request_id: RequestId,
        payload_hash: &str,
    ) -> Result<Option<Submitted>, ApiError> {
        let Some(turn) = self.store.turn_of_request(scope, request_id).await? else { return Ok(None) };
        if turn.payload_hash != payload_hash {
            return Err(Refused::RequestIdReused(turn.id).into());
        }
        Ok(Some(match self.hub.get(turn.id) {
            Some(live) => Submitted::Live(live),
            // It ended between the first look and the hub's, or long ago.
            None => Submitted::Ended(Box::new(self.turn(turn.id).await?)),
        }))
    }

    /// The prompt that a conversation began with.
    pub(super) async fn first_prompt(&self, id: ConversationId) -> Result<Option<String>, ApiError> {
        let query = TurnQuery { conversation_id: Some(id), limit: 1, ..TurnQuery::default() };
        Ok(self.store.turns(query).await?.items.into_iter().next().map(|turn| turn.prompt))
    }

    /// A turn that can be watched, wherever it is in its life.
    pub(super) async fn live(&self, id: TurnId) -> Result<Arc<LiveTurn>, ApiError> {
        // Hub first: who is not there any more has its terminal record in the store.
        if let Some(live) = self.hub.get(id) {
            return Ok(live);
        }
        let turn = self.store.turn(id).await?.ok_or(ApiError::NoTurn(id))?;
        let events = self.store.turn_events(id, 0).await?;
        let ended = has_ended(&turn);
        let live = LiveTurn::from_record(turn, events);
        if !ended {
            live.detach(NOT_IN_HANDS);
        }
        Ok(live)
    }

    pub(super) async fn turn(&self, id: TurnId) -> Result<claude_comms_model::Turn, ApiError> {
        self.store.turn(id).await?.ok_or(ApiError::NoTurn(id))
    }
}

pub(super) fn watch(submitted: Submitted) -> TurnWatchParts {
    match submitted {
        Submitted::Live(live) => TurnWatchParts::Live(live),
        Submitted::Ended(turn) => TurnWatchParts::Ended(turn.id),
    }
}

/// A submission as a stream needs it.
pub(super) enum TurnWatchParts {
    Live(Arc<LiveTurn>),
    Ended(TurnId),
}

impl Context {
    /// The events of a submission, from its beginning.
    pub(super) async fn stream(&self, submitted: Submitted) -> Result<Response<TurnEvents>, Status> {
        let live = match watch(submitted) {
            TurnWatchParts::Live(live) => live,
            TurnWatchParts::Ended(id) => self.live(id).await?,
        };
        Ok(Response::new(TurnEvents::new(live.id, live.watch(0, 0), self.observed.figures.watches("turn"))))
    }

    /// Checks what every prompt has.
    pub(super) fn check_prompt(
        &self,
        check: &mut Check,
        prompt: &Prompt<'_>,
    ) -> (Option<RequestId>, Option<Duration>) {
        check.prompt(prompt.text, self.prompt_limit_bytes);
        self.check_request(check, prompt)
    }

    pub(super) fn check_request(
        &self,
        check: &mut Check,
        prompt: &Prompt<'_>,
    ) -> (Option<RequestId>, Option<Duration>) {
        let timeout = prompt.timeout.map(|given| check.timeout(Some(given), self.turn_timeout()));
        (check.request_id(prompt.request_id), timeout)
    }
}

impl Context {
    /// Makes a conversation's context anew, from the modules and templates as they are now.
    pub(super) async fn upgrade(&self, id: ConversationId) -> Result<Conversation, ApiError> {
        let conversation = self.conversation(id).await?;
        let Some(target) = &conversation.target_module else { return Err(ApiError::NoContext(id)) };
        let source = conversation.source_module.as_ref().map_or("", |module| &module.name);
        let composer = self.modules.composer(&conversation.scene).await.map_err(QueryError::from)?;
        let overrides = composer.scene().overrides.clone();
        let prompt = self.first_prompt(id).await?.unwrap_or_default();
        let focus = Focus { prompt: &prompt, capability: None };
        let (new, _, scenery) =
            self.preparing().conversation_between(source, &target.name, overrides, focus).await?;
        if scenery.scene.digest == conversation.scene {
            return Ok(conversation);
        }
        let upgrade = UpgradeConversation {
            id,
            seen_revision: conversation.scene_revision,
            source_module: new.source_module,
            target_module: new.target_module,
            scene: scenery.scene.as_ref().clone(),
            system_prompt: new.system_prompt,
            model: new.model.or(conversation.model),
        };
        match self.store.upgrade_conversation(upgrade).await {
            Ok(UpgradeOutcome::Upgraded(conversation)) => Ok(*conversation),
            Ok(UpgradeOutcome::Busy) => Err(ApiError::ConversationBusy(id)),
            Err(StoreError::NotFound { .. }) => Err(ApiError::NoConversation(id)),
            Err(error) => Err(error.into()),
        }
    }
}
