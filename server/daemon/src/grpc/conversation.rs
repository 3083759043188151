//! `ConversationService`.

use std::sync::Arc;

use claude_comms_context::Focus;
use claude_comms_model::{CancelReason, ConversationId, Failure, TurnStateKind};
use claude_comms_proto::v1::{self, conversation_service_server::ConversationService};
use claude_comms_store::{ConversationQuery, NewConversation, TurnQuery};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    Context,
    conversation_events::ConversationEvents,
    convert::{self, Shown},
    events::TurnEvents,
    status::ApiError,
    submission::{NOT_IN_HANDS, Prompt},
    validate::{Check, SYSTEM_PROMPT_BYTES},
};
use crate::{
    conversation_watch::{ConversationWatch, Past},
    dispatcher::Submitted,
    live::Detached,
    query::Query,
};

/// The handlers of `ConversationService`.
#[derive(Debug, Clone)]
pub(crate) struct ConversationHandlers(pub Context);

/// The fields of SendMessage and SubmitMessage.
macro_rules! message {
    ($handlers:expr, $request:expr, $check:expr) => {{
        let id = $check.id("conversation_id", &$request.conversation_id);
        let prompt = Prompt {
            text: &$request.prompt,
            request_id: &$request.request_id,
            timeout: $request.timeout.as_ref(),
        };
        $check.optional_prompt(&$request.prompt, $handlers.0.prompt_limit_bytes);
        let (request_id, timeout) = $handlers.0.check_request(&mut $check, &prompt);
        $check.template(&$request.template);
        $check.text("output_schema", &$request.output_schema, 256 << 10);
        if $request.prompt.is_empty() && $request.template.is_empty() {
            $check.bad("prompt", "must not be empty");
        }
        let parameters = $check.parameters($request.parameters);
        (id, move |conversation| Query {
            output_schema: $request.output_schema,
            template: $request.template,
            parameters,
            request_id,
            timeout,
            ..Query::prompt(conversation, $request.prompt)
        })
    }};
}

#[tonic::async_trait]
impl ConversationService for ConversationHandlers {
    type SendMessageStream = TurnEvents;
    type WatchConversationStream = ConversationEvents;
    type WatchTurnStream = TurnEvents;

    async fn create_conversation(
        &self,
        request: Request<v1::CreateConversationRequest>,
    ) -> Result<Response<v1::Conversation>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        check.text("title", &request.title, 800);
        check.text("system_prompt", &request.system_prompt, SYSTEM_PROMPT_BYTES);
        check.model(&request.model);
        check.labels(&request.labels);
        check.module("source_module", &request.source_module);
        check.module("target_module", &request.target_module);
        let with_context = !request.source_module.is_empty() || request.context_overrides.is_some();
        if request.target_module.is_empty() && with_context {
            check.bad("target_module", "is required together with source_module and context_overrides");
        }
        if !request.target_module.is_empty() && !request.system_prompt.is_empty() {
            check.bad(
                "system_prompt",
                "is not allowed together with target_module: the context of both is made of it",
            );
        }
        let overrides = check.overrides(request.context_overrides);
        check.done()?;
        let model = Some(request.model).filter(|model| !model.is_empty());
        let labels = request.labels.into_iter().collect();
        let new = if request.target_module.is_empty() {
            NewConversation {
                id: ConversationId(Uuid::now_v7()),
                title: request.title,
                system_prompt: request.system_prompt,
                model,
                labels,
                source_module: None,
                target_module: None,
                scene: None,
            }
        } else {
            let (source, target) = (&request.source_module, &request.target_module);
            let focus = Focus { prompt: "", capability: None };
            let made = self.0.preparing().conversation_between(source, target, overrides, focus).await;
            let (new, ..) = made.map_err(ApiError::from)?;
            NewConversation { title: request.title, model: model.or(new.model), labels, ..new }
        };
        let made = self.0.store.create_conversation(new).await.map_err(ApiError::Store)?;
        Ok(Response::new(convert::conversation(&made, Shown::Alone)))
    }

    async fn get_conversation(
        &self,
        request: Request<v1::GetConversationRequest>,
    ) -> Result<Response<v1::Conversation>, Status> {
        let mut check = Check::default();
        let id = check.id("id", &request.get_ref().id);
        let found = self.0.conversation(check.need(id)?).await?;
        Ok(Response::new(convert::conversation(&found, Shown::Alone)))
    }

    async fn list_conversations(
        &self,
        request: Request<v1::ListConversationsRequest>,
    ) -> Result<Response<v1::ListConversationsResponse>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        let query = ConversationQuery {
            id_match: check.id_match(&request.id_match),
            module: Some(request.module.clone()).filter(|module| !module.is_empty()),
            limit: check.page_size(request.page_size),
            token: Some(request.page_token).filter(|token| !token.is_empty()),
        };
        check.module("module", &request.module);
        check.done()?;
        let page = self.0.store.conversations(query).await.map_err(ApiError::Store)?;
        let conversations = page.items.iter().map(|c| convert::conversation(c, Shown::InList)).collect();
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(v1::ListConversationsResponse { conversations, next_page_token }))
    }

    async fn upgrade_conversation(
        &self,
        request: Request<v1::UpgradeConversationRequest>,
    ) -> Result<Response<v1::Conversation>, Status> {
        let mut check = Check::default();
        let id = check.id("id", &request.get_ref().id);
        let upgraded = self.0.upgrade(check.need(id)?).await?;
        Ok(Response::new(convert::conversation(&upgraded, Shown::Alone)))
    }

    async fn send_message(
        &self,
        request: Request<v1::SendMessageRequest>,
    ) -> Result<Response<Self::SendMessageStream>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        let (id, query) = message!(self, request, check);
        let submitted = self.0.submit(query(check.need(id)?)).await?;
        self.0.stream(submitted).await
    }

    async fn submit_message(
        &self,
        request: Request<v1::SubmitMessageRequest>,
    ) -> Result<Response<v1::Turn>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        if !request.instance_id.is_empty() {
            Context::check_instance(&mut check, "instance_id", &request.instance_id);
        }
        let instance_id = request.instance_id.clone();
        let (id, query) = message!(self, request, check);
        let id = check.need(id)?;
        let instance = match instance_id.as_str() {
            "" => None,
            instance => {
                let view = self.0.find_instance(instance).await?;
                if view.record.conversation_id != id {
                    return Err(ApiError::Refused(crate::dispatcher::Refused::OtherConversation(
                        view.record.id,
                    ))
                    .into());
                }
                Some(view.record.id)
            }
        };
        let turn = match self.0.submit(Query { instance, ..query(id) }).await? {
            Submitted::Live(live) => self.0.turn(live.id).await?,
            Submitted::Ended(turn) => *turn,
        };
        Ok(Response::new(convert::turn(&turn, Shown::Alone)))
    }

    async fn watch_turn(
        &self,
        request: Request<v1::WatchTurnRequest>,
    ) -> Result<Response<Self::WatchTurnStream>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        let id = check.id("turn_id", &request.turn_id);
        let live = self.0.live(check.need(id)?).await?;
        let watch = live.watch(request.after_sequence.unwrap_or(0), request.text_offset);
        Ok(Response::new(TurnEvents::new(live.id, watch, self.0.observed.figures.watches("turn"))))
    }

    async fn get_turn(&self, request: Request<v1::GetTurnRequest>) -> Result<Response<v1::Turn>, Status> {
        let mut check = Check::default();
        let id = check.id("id", &request.get_ref().id);
        let turn = self.0.turn(check.need(id)?).await?;
        Ok(Response::new(convert::turn(&turn, Shown::Alone)))
    }

    async fn list_turns(
        &self,
        request: Request<v1::ListTurnsRequest>,
    ) -> Result<Response<v1::ListTurnsResponse>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        let conversation_id = match request.conversation_id.as_str() {
            "" => None,
            text => check.id("conversation_id", text),
        };
        let states = states(&request.states, &mut check);
        let query = TurnQuery {
            conversation_id,
            module: Some(request.module.clone()).filter(|module| !module.is_empty()),
            states,
            since: check.time("since", request.since),
            id_match: check.id_match(&request.id_match),
            newest_first: request.newest_first,
            limit: check.page_size(request.page_size),
            token: Some(request.page_token).filter(|token| !token.is_empty()),
        };
        check.module("module", &request.module);
        check.done()?;
        if let Some(id) = query.conversation_id {
            self.0.conversation(id).await?;
        }
        let page = self.0.store.turns(query).await.map_err(ApiError::Store)?;
        let turns = page.items.iter().map(|turn| convert::turn(turn, Shown::InList)).collect();
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(v1::ListTurnsResponse { turns, next_page_token }))
    }

    async fn wait_turn(&self, request: Request<v1::WaitTurnRequest>) -> Result<Response<v1::Turn>, Status> {
        let mut check = Check::default();
        let id = check.id("id", &request.get_ref().id);
        let turn = self.0.live(check.need(id)?).await?.wait().await.map_err(ApiError::Detached)?;
        Ok(Response::new(convert::turn(&turn, Shown::Alone)))
    }

    async fn cancel_turn(
        &self,
        request: Request<v1::CancelTurnRequest>,
    ) -> Result<Response<v1::Turn>, Status> {
        let mut check = Check::default();
        let id = check.id("id", &request.get_ref().id);
        let id = check.need(id)?;
        let turn = match self.0.hub.get(id) {
            Some(live) => {
                live.request_cancel(Failure::new(CancelReason::CancelRequested, "its end was asked for"));
                live.wait_until_over().await.map_err(ApiError::Detached)?.as_ref().clone()
            }
            None => self.0.turn(id).await?,
        };
        match turn.state.kind() {
            TurnStateKind::Cancelled => Ok(Response::new(convert::turn(&turn, Shown::Alone))),
            TurnStateKind::Queued | TurnStateKind::Running => {
                Err(ApiError::Detached(Detached(NOT_IN_HANDS.to_owned())).into())
            }
            other @ (TurnStateKind::Completed | TurnStateKind::Failed) => {
                Err(ApiError::TurnEnded(id, other.as_str()).into())
            }
        }
    }

    async fn watch_conversation(
        &self,
        request: Request<v1::WatchConversationRequest>,
    ) -> Result<Response<Self::WatchConversationStream>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        let id = check.id("conversation_id", &request.conversation_id);
        let id = check.need(id)?;
        let last = self.0.conversation(id).await?.last_sequence;
        let after_sequence = request.after_sequence.unwrap_or(last);
        if after_sequence > last {
            let problem = format!("is {after_sequence}; the last event of the conversation is {last}");
            return Err(ApiError::BadFields(vec![("after_sequence".to_owned(), problem)]).into());
        }
        let past = Past { after_sequence, text_offset: request.text_offset };
        let watch = ConversationWatch::new(id, past, Arc::clone(&self.0.store), &self.0.hub);
        Ok(Response::new(ConversationEvents::new(
            id,
            past,
            watch,
            self.0.observed.figures.watches("conversation"),
        )))
    }
}

fn states(states: &[i32], check: &mut Check) -> Vec<TurnStateKind> {
    let mut kinds = Vec::new();
    for state in states {
        match v1::TurnState::try_from(*state).ok().and_then(convert::turn_state_kind) {
            Some(kind) => kinds.push(kind),
            None => check.bad("states", format!("{state} is not a state of a turn")),
        }
    }
    kinds
}
