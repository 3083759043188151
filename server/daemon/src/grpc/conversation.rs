//! `ConversationService`.

use std::sync::Arc;

use claude_comms_model::{
    CancelReason, Conversation, ConversationId, Failure, InstanceId, RequestId, TurnId, TurnStateKind,
};
use claude_comms_proto::v1::{self, conversation_service_server::ConversationService};
use claude_comms_store::{ConversationQuery, NewConversation, TurnQuery};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    Context,
    convert::{self, Shown},
    events::TurnEvents,
    status::ApiError,
    validate::{Check, SYSTEM_PROMPT_BYTES},
};
use crate::{
    dispatcher::{NewTurn, Submitted},
    live::LiveTurn,
    turn::has_ended,
};

/// The handlers of `ConversationService`.
#[derive(Debug, Clone)]
pub(crate) struct ConversationHandlers(pub Context);

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

    /// Hands a prompt to the dispatcher. One whose turn is known gets that turn, whatever keeps new ones out now.
    pub(super) async fn submit(
        &self,
        conversation: ConversationId,
        prompt: String,
        request_id: Option<RequestId>,
        timeout: std::time::Duration,
        target: Option<InstanceId>,
    ) -> Result<Submitted, ApiError> {
        let conversation = self.conversation(conversation).await?;
        let payload_hash = payload_hash(&prompt, target);
        if let Some(request_id) = request_id
            && let Some(known) = self.submitted(conversation.id, request_id, &payload_hash).await?
        {
            return Ok(known);
        }
        let request_id = request_id.unwrap_or_else(|| RequestId(Uuid::new_v4()));
        self.backend.ready().await.map_err(crate::dispatcher::Refused::NotReady)?;
        let new = NewTurn { conversation, prompt, request_id, payload_hash, timeout, target };
        Ok(self.dispatcher.submit(new).await?)
    }

    /// The turn that a request has made already.
    async fn submitted(
        &self,
        conversation: ConversationId,
        request_id: RequestId,
        payload_hash: &str,
    ) -> Result<Option<Submitted>, ApiError> {
        let Some(turn) = self.store.turn_of_request(conversation, request_id).await? else { return Ok(None) };
        if turn.payload_hash != payload_hash {
            return Err(crate::dispatcher::Refused::RequestIdReused(turn.id).into());
        }
        Ok(Some(match self.hub.get(turn.id) {
            Some(live) => Submitted::Live(live),
            // It ended between the first look and the hub's, or long ago.
            None => Submitted::Ended(Box::new(self.turn(turn.id).await?)),
        }))
    }

    /// A turn that can be watched, wherever it is in its life.
    async fn live(&self, id: TurnId) -> Result<Arc<LiveTurn>, ApiError> {
        // Hub first: who is not there any more has its terminal record in the store.
        if let Some(live) = self.hub.get(id) {
            return Ok(live);
        }
        let turn = self.store.turn(id).await?.ok_or(ApiError::NoTurn(id))?;
        let events = self.store.turn_events(id, 0).await?;
        let ended = has_ended(&turn);
        let live = LiveTurn::from_record(turn, events);
        if !ended {
            live.detach("the turn is not in this server's hands at the moment");
        }
        Ok(live)
    }

    async fn turn(&self, id: TurnId) -> Result<claude_comms_model::Turn, ApiError> {
        self.store.turn(id).await?.ok_or(ApiError::NoTurn(id))
    }
}

/// What makes two requests the same but for their id.
fn payload_hash(prompt: &str, target: Option<InstanceId>) -> String {
    let mut hash = Sha256::new();
    hash.update(target.map(|id| id.to_string()).unwrap_or_default().as_bytes());
    hash.update([0]);
    hash.update(prompt.as_bytes());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
        Ok(Response::new(TurnEvents::new(live.id, live.watch(0, 0))))
    }

    /// Checks what every prompt has.
    pub(super) fn check_prompt(
        &self,
        check: &mut Check,
        prompt: &Prompt<'_>,
    ) -> (Option<RequestId>, std::time::Duration) {
        check.prompt(prompt.text, self.prompt_limit_bytes);
        (check.request_id(prompt.request_id), check.timeout(prompt.timeout, self.turn_timeout))
    }
}

#[tonic::async_trait]
impl ConversationService for ConversationHandlers {
    type SendMessageStream = TurnEvents;
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
        check.done()?;
        let new = NewConversation {
            id: ConversationId(Uuid::now_v7()),
            title: request.title,
            system_prompt: request.system_prompt,
            model: Some(request.model).filter(|model| !model.is_empty()),
            labels: request.labels.into_iter().collect(),
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
            limit: check.page_size(request.page_size),
            token: Some(request.page_token).filter(|token| !token.is_empty()),
        };
        check.done()?;
        let page = self.0.store.conversations(query).await.map_err(ApiError::Store)?;
        let conversations = page.items.iter().map(|c| convert::conversation(c, Shown::InList)).collect();
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(v1::ListConversationsResponse { conversations, next_page_token }))
    }

    async fn send_message(
        &self,
        request: Request<v1::SendMessageRequest>,
    ) -> Result<Response<Self::SendMessageStream>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        let id = check.id("conversation_id", &request.conversation_id);
        let prompt = Prompt {
            text: &request.prompt,
            request_id: &request.request_id,
            timeout: request.timeout.as_ref(),
        };
        let (request_id, timeout) = self.0.check_prompt(&mut check, &prompt);
        let id = check.need(id)?;
        let submitted = self.0.submit(id, request.prompt, request_id, timeout, None).await?;
        self.0.stream(submitted).await
    }

    async fn submit_message(
        &self,
        request: Request<v1::SubmitMessageRequest>,
    ) -> Result<Response<v1::Turn>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        let id = check.id("conversation_id", &request.conversation_id);
        let prompt = Prompt {
            text: &request.prompt,
            request_id: &request.request_id,
            timeout: request.timeout.as_ref(),
        };
        let (request_id, timeout) = self.0.check_prompt(&mut check, &prompt);
        if !request.instance_id.is_empty() {
            Context::check_instance(&mut check, "instance_id", &request.instance_id);
        }
        let id = check.need(id)?;
        let target = match request.instance_id.as_str() {
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
        let turn = match self.0.submit(id, request.prompt, request_id, timeout, target).await? {
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
        Ok(Response::new(TurnEvents::new(live.id, watch)))
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
            states,
            since: check.time("since", request.since),
            id_match: check.id_match(&request.id_match),
            newest_first: request.newest_first,
            limit: check.page_size(request.page_size),
            token: Some(request.page_token).filter(|token| !token.is_empty()),
        };
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
                live.wait().await.map_err(ApiError::Detached)?.as_ref().clone()
            }
            None => self.0.turn(id).await?,
        };
        match turn.state.kind() {
            TurnStateKind::Cancelled => Ok(Response::new(convert::turn(&turn, Shown::Alone))),
            other => Err(ApiError::TurnEnded(id, other.as_str()).into()),
        }
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
