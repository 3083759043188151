//! The supervisor's process as a worker.

use async_trait::async_trait;
use claude_comms_supervisor::{
    ControlError, ExitInfo, Process, ProcessState, SendError, StartError, StderrFeed, Stop, TurnUpdates,
    Vitals,
};
use tokio::sync::watch;
use uuid::Uuid;

use super::Worker;

/// How long a parked process may take to answer: 44 ms as a rule, and its start before that, if it has only just begun.
const CLAIM_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

#[async_trait]
impl Worker for Process {
    fn process_id(&self) -> u32 {
        Self::process_id(self)
    }

    fn state(&self) -> watch::Receiver<ProcessState> {
        Self::state(self)
    }

    fn vitals(&self) -> Option<Vitals> {
        Some(Self::vitals(self))
    }

    fn stderr(&self) -> StderrFeed {
        Self::stderr(self)
    }

    async fn claim(&self, system_prompt: Option<&str>) -> Result<(), StartError> {
        Self::claim(self, system_prompt, CLAIM_LIMIT).await
    }

    async fn send(&self, uuid: Uuid, text: String) -> Result<TurnUpdates, SendError> {
        Self::send(self, uuid, text).await
    }

    async fn interrupt(&self) -> Result<(), ControlError> {
        Self::interrupt(self).await
    }

    async fn pause(&self) -> Result<(), ControlError> {
        Self::pause(self).await
    }

    async fn resume(&self) -> Result<(), ControlError> {
        Self::resume(self).await
    }

    async fn stop(&self, how: Stop) -> ExitInfo {
        Self::stop(self, how).await
    }
}
