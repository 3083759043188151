//! `DiagnosticsService`.

use std::time::{Duration, SystemTime};

use claude_comms_proto::v1::{self, diagnostics_service_server::DiagnosticsService};
use tonic::{Request, Response, Status};

use crate::condition::{Account, Starts, View};

use super::{Context, convert, diagnosis::Results, statistics, status::ApiError};

/// Most files shown, and the longest text of their problems, bytes.
const BROKEN_FILES: usize = 100;
const PROBLEMS_BYTES: usize = 4 << 10;

/// Most budgets shown.
const BUDGETS: usize = 1000;

fn budget(day: &crate::budget::DayBudget) -> v1::Budget {
    v1::Budget {
        scope: day.scope.as_str().to_owned(),
        name: day.name.clone(),
        limit_usd: day.limit_usd,
        spent_usd: day.spent_usd,
        reserved_usd: day.reserved_usd,
        reset_time: Some(convert::timestamp(day.reset_time)),
    }
}

fn broken_file(file: &crate::modules::BrokenFile) -> v1::BrokenFile {
    v1::BrokenFile {
        path: file.path.display().to_string(),
        problems: convert::cut(&file.problems, PROBLEMS_BYTES).0,
        kept: file.kept,
    }
}

fn backend_condition(view: View) -> v1::BackendCondition {
    let state = match view.starts {
        Starts::Available => v1::BackendState::Available,
        Starts::BackingOff => v1::BackendState::BackingOff,
        Starts::Open => v1::BackendState::Open,
    };
    let retry_time = view.retry_after.map(|after| convert::timestamp((SystemTime::now() + after).into()));
    v1::BackendCondition { state: state.into(), reason: view.reason, failures: view.failures, retry_time }
}

fn account_limit(account: Account) -> v1::AccountLimit {
    v1::AccountLimit {
        status: account.status,
        kind: account.kind,
        reset_time: account.reset.map(|reset| convert::timestamp(reset.into())),
        using_overage: account.using_overage,
    }
}

/// The handlers of `DiagnosticsService`.
#[derive(Debug, Clone)]
pub(crate) struct DiagnosticsHandlers(pub Context);

impl Context {
    /// What the server is and is doing.
    async fn server_info(&self) -> Result<v1::ServerInfo, ApiError> {
        let context = self;
        let load = context.dispatcher.load().await.map_err(ApiError::Refused)?;
        let counts = context.store.counts().await.map_err(ApiError::Store)?;
        let identity = context.store.server();
        let pool = context.settings.now().pool.clone();
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(v1::ServerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            server_id: identity.id.to_string(),
            incarnation: identity.incarnation,
            backend: context.backend.name().to_owned(),
            backend_version: context.backend.version(),
            start_time: Some(convert::timestamp(context.start_time.into())),
            process_id: std::process::id(),
            memory_bytes: claude_comms_supervisor::resident_bytes(std::process::id()),
            endpoints: context.endpoints.as_ref().clone(),
            draining: load.draining,
            running_turns: small(load.running),
            queued_turns: small(load.queued),
            max_queue: small(pool.max_queue),
            instances: small(load.instances),
            max_instances: small(pool.slots()),
            max_instances_reason: pool.slots_reason(),
            prompt_limit_bytes: context.prompt_limit_bytes as u64,
            turn_timeout: prost_types::Duration::try_from(pool.turn_timeout).ok(),
            store_schema_version: counts.schema_version,
            conversations: counts.conversations,
            turns: counts.turns,
            modules: small(context.modules.registry().len()),
            backend_condition: Some(backend_condition(context.condition.view())),
            account_limit: context.condition.account().map(account_limit),
            budgets: context.observed.budgets.days().iter().take(BUDGETS).map(budget).collect(),
            broken_files: context.modules.broken().iter().take(BROKEN_FILES).map(broken_file).collect(),
        })
    }
}

#[tonic::async_trait]
impl DiagnosticsService for DiagnosticsHandlers {
    type DiagnoseStream = Results;

    async fn diagnose(
        &self,
        request: Request<v1::DiagnoseRequest>,
    ) -> Result<Response<Self::DiagnoseStream>, Status> {
        self.0.diagnose(request)
    }

    async fn get_server_info(
        &self,
        _request: Request<v1::GetServerInfoRequest>,
    ) -> Result<Response<v1::ServerInfo>, Status> {
        Ok(Response::new(self.0.server_info().await?))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::ServerInfo>, Status> {
        let grace = match request.get_ref().timeout.map(Duration::try_from) {
            None => self.0.drain_timeout(),
            Some(Ok(grace)) => grace,
            Some(Err(_)) => {
                let field = ("timeout".to_owned(), "must not be negative".to_owned());
                return Err(ApiError::BadFields(vec![field]).into());
            }
        };
        self.0.drain.ask(grace).await;
        Ok(Response::new(self.0.server_info().await?))
    }

    async fn get_statistics(
        &self,
        _request: Request<v1::GetStatisticsRequest>,
    ) -> Result<Response<v1::Statistics>, Status> {
        let observed = &self.0.observed;
        Ok(Response::new(statistics::of(&observed.look().await, observed.figures.start_time())))
    }
}
