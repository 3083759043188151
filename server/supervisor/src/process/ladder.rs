//! What a process task does when asked: send, interrupt, pause, and the way down the stop ladder.

use claude_comms_stream_json::input::{ControlRequest, Request as CliRequest, UserMessage};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use uuid::Uuid;

use super::{
    BATCHES, Ready, Request, TurnUpdates,
    phase::{INTERRUPT_LIMIT, Overdue, Phase, REAPER_LIMIT},
    task::ProcessTask,
    turn::Turn,
};
use crate::{ControlError, ExitCause, ProcessEvent, ProcessState, SendError, Stop};

impl ProcessTask {
    /// An asker that no longer waits for its answer changes nothing: what was asked is done.
    pub(super) fn serve(&mut self, request: Request) {
        match request {
            Request::Send { uuid, text, reply } => {
                let _gone = reply.send(self.send(uuid, &text));
            }
            Request::Claim { system_prompt, ready } => self.claim(&system_prompt, ready),
            Request::Interrupt { reply } => {
                let _gone = reply.send(self.interrupt());
            }
            Request::Pause { reply } => {
                let _gone = reply.send(self.pause());
            }
            Request::Resume { reply } => {
                let _gone = reply.send(self.resume());
            }
            Request::Status { reply } => self.ask_status(reply),
            Request::StatusLate { reply } => {
                let _gone = reply.send(self.status.late(self.is_clogged()));
            }
            Request::Condemn { why, quiet_for } => self.condemn(why, quiet_for),
            Request::Stop(Stop::Graceful) => self.stop(ExitCause::Stopped),
            Request::Stop(Stop::Now) => self.kill(ExitCause::Killed),
        }
    }

    /// A claimer whose `ready` is dropped has come too late.
    fn claim(&mut self, system_prompt: &str, ready: oneshot::Sender<Ready>) {
        let is_parked = *self.state.borrow() == ProcessState::Parked;
        if is_parked && self.outgoing.is_open() {
            self.initialize(Some(system_prompt), ready);
            self.transition(ProcessEvent::Claimed);
        }
    }

    fn send(&mut self, uuid: Uuid, text: &str) -> Result<TurnUpdates, SendError> {
        match *self.state.borrow() {
            ProcessState::Idle if self.outgoing.is_open() => {}
            ProcessState::Parked
            | ProcessState::Starting
            | ProcessState::Busy { .. }
            | ProcessState::Interrupting { .. } => {
                return Err(SendError::Busy);
            }
            ProcessState::Paused => return Err(SendError::Paused),
            // An idle process that closed its stdin is about to exit.
            ProcessState::Idle | ProcessState::Stopping | ProcessState::Exited(_) => {
                return Err(SendError::Exited);
            }
        }
        let (consumer, batches) = mpsc::channel(BATCHES);
        self.codec.begin(uuid);
        self.outgoing.put(|lines| UserMessage { uuid, text }.write_line(lines));
        self.turn = Some(Turn::new(consumer));
        self.heard.now();
        self.transition(ProcessEvent::Sent(uuid));
        Ok(TurnUpdates { batches, heard: self.heard.clone() })
    }

    fn interrupt(&mut self) -> Result<(), ControlError> {
        match *self.state.borrow() {
            ProcessState::Busy { .. } => {}
            ProcessState::Stopping | ProcessState::Exited(_) => return Err(ControlError::Exited),
            _ => return Ok(()),
        }
        self.interrupts += 1;
        let request_id = format!("interrupt-{}", self.interrupts);
        let request = CliRequest::Interrupt { cancel_queued: true };
        self.outgoing.put(|lines| ControlRequest { request_id: &request_id, request }.write_line(lines));
        if let Phase::Live { overdue: overdue @ None } = &mut self.phase {
            *overdue = Some((Instant::now() + INTERRUPT_LIMIT, Overdue::Interrupt));
        }
        self.transition(ProcessEvent::InterruptSent);
        Ok(())
    }

    fn pause(&mut self) -> Result<(), ControlError> {
        self.may_pause()?;
        if let Some(life) = &self.life {
            life.pause();
        }
        self.transition(ProcessEvent::PauseSent);
        Ok(())
    }

    fn resume(&mut self) -> Result<(), ControlError> {
        match self.may_pause() {
            // It runs: that is what was asked.
            Err(ControlError::Busy) => return Ok(()),
            other => other?,
        }
        if let Some(life) = &self.life {
            life.resume();
        }
        self.transition(ProcessEvent::ResumeSent);
        Ok(())
    }

    fn may_pause(&self) -> Result<(), ControlError> {
        match *self.state.borrow() {
            ProcessState::Idle | ProcessState::Paused => Ok(()),
            ProcessState::Parked
            | ProcessState::Starting
            | ProcessState::Busy { .. }
            | ProcessState::Interrupting { .. } => Err(ControlError::Busy),
            ProcessState::Stopping | ProcessState::Exited(_) => Err(ControlError::Exited),
        }
    }

    /// Last rung: the life pipe closes and the reaper kills the whole tree. What was not delivered is
    /// dropped, so that no consumer can hold up the end.
    pub(super) fn kill(&mut self, cause: ExitCause) {
        match self.phase {
            Phase::Live { .. } | Phase::Closing { .. } => {
                self.life = None;
                self.outgoing.close_now();
                // Its output had ended and nobody had asked it to: whoever says Now because of that did not end it.
                let by_itself = matches!(self.phase, Phase::Live { .. }) && self.stdout.is_none();
                self.cause =
                    Some(if by_itself && cause == ExitCause::Killed { ExitCause::Crashed } else { cause });
                self.phase = Phase::Killing { until: Instant::now() + REAPER_LIMIT };
                self.transition(ProcessEvent::StopBegun);
                self.turn = None;
            }
            Phase::Killing { .. } => {}
            // It ended by itself. Whoever says Now will not wait for its last words.
            Phase::Reaped { .. } => self.turn = None,
        }
    }
}
