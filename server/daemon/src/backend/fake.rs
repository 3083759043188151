//! A worker without a process, for tests of the rooms that hold workers.

use std::sync::Arc;

use async_trait::async_trait;
use claude_comms_supervisor::{
    ControlError, ExitCause, ExitInfo, ProcessState, SendError, StartError, StderrFeed, Stop, TurnUpdates,
    Vitals,
};
use tokio::sync::watch;
use uuid::Uuid;

use super::{LaunchMark, Running, Worker};

/// It takes no messages and ends when it is told to.
#[derive(Debug)]
pub(crate) struct FakeWorker(watch::Sender<ProcessState>);

impl FakeWorker {
    /// One that was not claimed yet.
    pub(crate) fn parked() -> Running {
        Running {
            process: Arc::new(Self(watch::Sender::new(ProcessState::Parked))),
            session_id: Uuid::nil(),
            scene_revision: 0,
            session_reset: None,
            parked: Some(LaunchMark(1)),
            session_file: None,
        }
    }
}

#[async_trait]
impl Worker for FakeWorker {
    fn process_id(&self) -> u32 {
        0
    }

    fn state(&self) -> watch::Receiver<ProcessState> {
        self.0.subscribe()
    }

    fn vitals(&self) -> Option<Vitals> {
        None
    }

    fn stderr(&self) -> StderrFeed {
        StderrFeed::new(0)
    }

    async fn claim(&self, _: Option<&str>) -> Result<(), StartError> {
        self.0.send_replace(ProcessState::Idle);
        Ok(())
    }

    async fn send(&self, _: Uuid, _: String) -> Result<TurnUpdates, SendError> {
        Err(SendError::Exited)
    }

    async fn interrupt(&self) -> Result<(), ControlError> {
        Ok(())
    }

    async fn pause(&self) -> Result<(), ControlError> {
        Err(ControlError::Exited)
    }

    async fn resume(&self) -> Result<(), ControlError> {
        Err(ControlError::Exited)
    }

    async fn stop(&self, _: Stop) -> ExitInfo {
        let exit = ExitInfo { code: Some(0), cause: ExitCause::Stopped, stderr: String::new() };
        self.0.send_replace(ProcessState::Exited(exit.clone()));
        exit
    }
}
