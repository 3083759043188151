//! The modules of the fake server: they answer with the script of its one turn.

use std::sync::Arc;

use crate::support::State;
use claude_comms_client::v1::{self, module_service_server::*};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

pub(crate) struct FakeModules(pub(crate) Arc<State>);

impl FakeModules {
    async fn module(&self, call: &'static str, name: String) -> Result<Response<v1::Module>, Status> {
        self.0.count(call);
        self.0.mishap().await?;
        Ok(Response::new(v1::Module { name, version: "1.0.0".into(), ..Default::default() }))
    }

    fn note(&self, request_id: String) {
        self.0.request_ids.lock().expect("lock").insert(request_id);
    }
}

#[tonic::async_trait]
impl ModuleService for FakeModules {
    type QueryModuleStream = ReceiverStream<Result<v1::TurnEvent, Status>>;

    async fn register_module(
        &self,
        request: Request<v1::RegisterModuleRequest>,
    ) -> Result<Response<v1::Module>, Status> {
        self.module("register_module", request.into_inner().name).await
    }

    async fn get_module(
        &self,
        request: Request<v1::GetModuleRequest>,
    ) -> Result<Response<v1::Module>, Status> {
        self.module("get_module", request.into_inner().name).await
    }

    async fn list_modules(
        &self,
        _: Request<v1::ListModulesRequest>,
    ) -> Result<Response<v1::ListModulesResponse>, Status> {
        self.0.count("list_modules");
        self.0.mishap().await?;
        Ok(Response::new(v1::ListModulesResponse::default()))
    }

    async fn update_module(
        &self,
        request: Request<v1::UpdateModuleRequest>,
    ) -> Result<Response<v1::Module>, Status> {
        self.module("update_module", request.into_inner().name).await
    }

    async fn unregister_module(
        &self,
        request: Request<v1::UnregisterModuleRequest>,
    ) -> Result<Response<v1::Module>, Status> {
        self.module("unregister_module", request.into_inner().name).await
    }

    async fn discover_modules(
        &self,
        _: Request<v1::DiscoverModulesRequest>,
    ) -> Result<Response<v1::DiscoverModulesResponse>, Status> {
        self.0.count("discover_modules");
        self.0.mishap().await?;
        Ok(Response::new(v1::DiscoverModulesResponse { total: 1, ..Default::default() }))
    }

    async fn preview_context(
        &self,
        request: Request<v1::PreviewContextRequest>,
    ) -> Result<Response<v1::ContextPreview>, Status> {
        self.0.count("preview_context");
        self.0.mishap().await?;
        let message = request.into_inner().prompt;
        Ok(Response::new(v1::ContextPreview { message, ..Default::default() }))
    }

    async fn query_module(
        &self,
        request: Request<v1::QueryModuleRequest>,
    ) -> Result<Response<Self::QueryModuleStream>, Status> {
        let first = self.0.count("query_module") == 1;
        self.note(request.into_inner().request_id);
        self.0.mishap().await?;
        Ok(Response::new(self.0.play_all(first)))
    }

    async fn submit_module_query(
        &self,
        request: Request<v1::SubmitModuleQueryRequest>,
    ) -> Result<Response<v1::Turn>, Status> {
        self.0.count("submit_module_query");
        let request_id = request.into_inner().request_id;
        self.note(request_id.clone());
        self.0.mishap().await?;
        Ok(Response::new(v1::Turn { id: "t".into(), request_id, ..Default::default() }))
    }
}
