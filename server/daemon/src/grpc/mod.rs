//! The contract's services. Each handler checks its request, names every bad field, asks the dispatcher or the store, and
//! turns what comes back into messages. prost types do not leave this folder.

mod conversation;
mod conversation_events;
mod convert;
mod diagnosis;
mod diagnostics;
mod events;
mod instance;
mod limit;
mod module;
mod module_view;
mod monitor;
mod page;
mod statistics;
pub mod status;
mod submission;
mod token;
mod validate;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use claude_comms_store::Store;
use tokio_util::task::TaskTracker;

use crate::{
    auth::Tokens, backend::Backend, condition::BackendCondition, config::Settings, diagnosis::Diagnosis,
    dispatcher::Dispatcher, drain::DrainSwitch, hub::EventHub, modules::Modules, telemetry::Observed,
};

pub use self::diagnosis::diagnostic_result;
pub(crate) use self::{
    conversation::ConversationHandlers, diagnostics::DiagnosticsHandlers, instance::InstanceHandlers,
    limit::LimitLayer, module::ModuleHandlers, token::TokenHandlers,
};

/// What every handler works with.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub store: Arc<dyn Store>,
    pub diagnosis: Diagnosis,
    pub dispatcher: Dispatcher,
    pub backend: Arc<dyn Backend>,
    pub condition: BackendCondition,
    pub hub: EventHub,
    pub tracker: TaskTracker,
    pub modules: Modules,
    pub tokens: Tokens,
    pub prompt_limit_bytes: usize,
    pub settings: Settings,
    pub endpoints: Arc<Vec<String>>,
    pub start_time: SystemTime,
    pub observed: Observed,
    pub drain: DrainSwitch,
}

impl Context {
    /// Longest time of a turn.
    fn turn_timeout(&self) -> Duration {
        self.settings.now().pool.turn_timeout
    }

    /// How long running turns may go on once the server drains.
    pub(crate) fn drain_timeout(&self) -> Duration {
        self.settings.now().pool.drain_timeout
    }
}
