//! `InstanceService`.

use claude_comms_descriptors::is_name;
use claude_comms_model::{Conversation, ConversationId, IdMatch, InstanceId, InstanceState, Timestamp};
use claude_comms_proto::v1::{self, instance_service_server::InstanceService};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    Context,
    convert::{self, Shown},
    events::TurnEvents,
    monitor::{InstanceEvents, PoolSnapshots},
    page::page,
    status::ApiError,
    submission::Prompt,
    validate::{Check, SYSTEM_PROMPT_BYTES, shortened},
};
use crate::{
    dispatcher::{InstanceView, NewInstance, Refused},
    query::Query,
};

/// The handlers of `InstanceService`.
#[derive(Debug, Clone)]
pub(crate) struct InstanceHandlers(pub Context);

impl Context {
    /// An instance by id or name.
    pub(super) async fn find_instance(&self, text: &str) -> Result<InstanceView, ApiError> {
        Ok(self.dispatcher.find_instance(text).await?)
    }

    /// The id of the instance that a request names with nothing else to check.
    pub(super) async fn instance_id(&self, text: &str) -> Result<InstanceId, ApiError> {
        let mut check = Check::default();
        Self::check_instance(&mut check, "id", text);
        check.done()?;
        Ok(self.find_instance(text).await?.record.id)
    }

    pub(super) fn check_instance(check: &mut Check, field: &str, text: &str) {
        if text.is_empty() {
            check.bad(field, "is required; give the ID or the name of an instance");
        } else if text.parse::<InstanceId>().is_err() && !is_name(text) {
            check.bad(field, format!("is neither a UUID nor a name: {}", shortened(text)));
        }
    }
}

#[tonic::async_trait]
impl InstanceService for InstanceHandlers {
    type QueryInstanceStream = TurnEvents;
    type MonitorInstanceStream = InstanceEvents;
    type WatchPoolStream = PoolSnapshots;

    async fn start_instance(
        &self,
        request: Request<v1::StartInstanceRequest>,
    ) -> Result<Response<v1::Instance>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        check.name("name", &request.name);
        check.model(&request.model);
        check.text("system_prompt", &request.system_prompt, SYSTEM_PROMPT_BYTES);
        let given = match request.conversation_id.as_str() {
            "" => None,
            text => check.id::<ConversationId>("conversation_id", text),
        };
        if !request.conversation_id.is_empty() && !request.system_prompt.is_empty() {
            check.bad(
                "system_prompt",
                "is not allowed together with conversation_id: the conversation has its own",
            );
        }
        check.done()?;
        let model = Some(request.model).filter(|model| !model.is_empty());
        let (conversation, make_conversation) = match given {
            Some(id) => (self.0.conversation(id).await?, false),
            None => (fresh_conversation(&request.name, request.system_prompt, model.clone()), true),
        };
        let new = NewInstance { name: request.name, model, conversation, make_conversation };
        let view = self.0.dispatcher.start_instance(new).await.map_err(ApiError::Refused)?;
        Ok(Response::new(convert::instance(&view, Shown::Alone)))
    }

    async fn get_instance(
        &self,
        request: Request<v1::GetInstanceRequest>,
    ) -> Result<Response<v1::Instance>, Status> {
        let mut check = Check::default();
        Context::check_instance(&mut check, "id", &request.get_ref().id);
        check.done()?;
        let view = self.0.find_instance(&request.get_ref().id).await?;
        Ok(Response::new(convert::instance(&view, Shown::Alone)))
    }

    async fn list_instances(
        &self,
        request: Request<v1::ListInstancesRequest>,
    ) -> Result<Response<v1::ListInstancesResponse>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        let size = check.page_size(request.page_size);
        let fragment = IdMatch::new(&request.id_match);
        if !request.id_match.is_empty() && fragment.is_none() && !is_name(&request.id_match) {
            check.bad("id_match", "must be a name, or at least 4 hexadecimal digits of an id");
        }
        check.done()?;
        let mut views = self.0.dispatcher.instances().await.map_err(ApiError::Refused)?;
        views.retain(|view| {
            let wanted = request.include_stopped || view.state != InstanceState::Stopped;
            let matches = request.id_match.is_empty()
                || view.record.name == request.id_match
                || fragment.as_ref().is_some_and(|fragment| fragment.matches(view.record.id.0));
            wanted && matches
        });
        let (views, next_page_token) =
            page(views, &request.page_token, size, |view| view.record.id.to_string());
        let instances = views.iter().map(|view| convert::instance(view, Shown::InList)).collect();
        Ok(Response::new(v1::ListInstancesResponse { instances, next_page_token }))
    }

    async fn stop_instance(
        &self,
        request: Request<v1::StopInstanceRequest>,
    ) -> Result<Response<v1::Instance>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        Context::check_instance(&mut check, "id", &request.id);
        let mode = v1::StopMode::try_from(request.mode).ok();
        if mode.is_none() {
            check.bad("mode", format!("{} is not a way to stop", request.mode));
        }
        let mode = check.need(mode)?;
        let id = self.0.find_instance(&request.id).await?.record.id;
        let now = match mode {
            v1::StopMode::Unspecified | v1::StopMode::Graceful => false,
            v1::StopMode::Now => true,
        };
        let view = self.0.dispatcher.stop_instance(id, now).await.map_err(ApiError::Refused)?;
        Ok(Response::new(convert::instance(&view, Shown::Alone)))
    }

    async fn pause_instance(
        &self,
        request: Request<v1::PauseInstanceRequest>,
    ) -> Result<Response<v1::Instance>, Status> {
        let id = self.0.instance_id(&request.get_ref().id).await?;
        let view = self.0.dispatcher.pause_instance(id).await.map_err(ApiError::Refused)?;
        Ok(Response::new(convert::instance(&view, Shown::Alone)))
    }

    async fn resume_instance(
        &self,
        request: Request<v1::ResumeInstanceRequest>,
    ) -> Result<Response<v1::Instance>, Status> {
        let id = self.0.instance_id(&request.get_ref().id).await?;
        let view = self.0.dispatcher.resume_instance(id).await.map_err(ApiError::Refused)?;
        Ok(Response::new(convert::instance(&view, Shown::Alone)))
    }

    async fn interrupt_instance(
        &self,
        request: Request<v1::InterruptInstanceRequest>,
    ) -> Result<Response<v1::Instance>, Status> {
        let id = self.0.instance_id(&request.get_ref().id).await?;
        let view = self.0.dispatcher.interrupt_instance(id).await.map_err(ApiError::Refused)?;
        Ok(Response::new(convert::instance(&view, Shown::Alone)))
    }

    async fn query_instance(
        &self,
        request: Request<v1::QueryInstanceRequest>,
    ) -> Result<Response<Self::QueryInstanceStream>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        Context::check_instance(&mut check, "id", &request.id);
        let prompt = Prompt {
            text: &request.prompt,
            request_id: &request.request_id,
            timeout: request.timeout.as_ref(),
        };
        let (request_id, timeout) = self.0.check_prompt(&mut check, &prompt);
        check.done()?;
        let view = self.0.find_instance(&request.id).await?;
        if view.spare {
            return Err(ApiError::Refused(Refused::InstanceIsSpare(view.record.id)).into());
        }
        let (target, conversation) = (Some(view.record.id), view.record.conversation_id);
        // What is sent to an instance is sent as it is, whatever its conversation is made of.
        let query =
            Query { request_id, timeout, instance: target, ..Query::prompt(conversation, request.prompt) };
        let submitted = self.0.submit(query).await?;
        self.0.stream(submitted).await
    }

    async fn monitor_instance(
        &self,
        request: Request<v1::MonitorInstanceRequest>,
    ) -> Result<Response<Self::MonitorInstanceStream>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        Context::check_instance(&mut check, "id", &request.id);
        check.done()?;
        let view = self.0.find_instance(&request.id).await?;
        let last = self.0.hub.monitor().last(view.record.id);
        if request.after_sequence.is_some_and(|after| after > last) {
            let mut check = Check::default();
            check.bad("after_sequence", format!("is beyond the last event of the instance, which is {last}"));
            check.done()?;
        }
        Ok(Response::new(self.0.monitor_instance(&view, request.after_sequence)))
    }

    async fn watch_pool(
        &self,
        _request: Request<v1::WatchPoolRequest>,
    ) -> Result<Response<Self::WatchPoolStream>, Status> {
        Ok(Response::new(self.0.watch_pool()))
    }
}

/// A conversation that the store does not have yet.
fn fresh_conversation(name: &str, system_prompt: String, model: Option<String>) -> Conversation {
    let now = Timestamp::from(std::time::SystemTime::now());
    Conversation {
        title: name.to_owned(),
        system_prompt,
        model,
        ..Conversation::new(ConversationId(Uuid::now_v7()), now)
    }
}
