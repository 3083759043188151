//! The process under a turn: started where there is none, interrupted, and what its death comes to.

use std::time::Duration;

use claude_comms_model::{EventKind, Failure, FailureReason, Transition, Turn};
use claude_comms_store::{Lease as Claim, StartTurn};
use claude_comms_stream_json::{
    transcript::Fate,
    turn::{Outcome, TurnEnd},
};
use claude_comms_supervisor::{ExitCause, ExitInfo, StartError, Stop};
use tokio::time::Instant;
use tracing::Instrument as _;
use uuid::Uuid;

use super::{drive::Drive, end::End};
use crate::{
    backend::{NotReadyReason, Running, TakeUp, Worker, chain},
    condition::{AFTER_LOSS, delay, dice},
    live::{LiveEvent, Place, WaitsFor, wanted},
    telemetry::trace,
};

/// How long an interrupted process may take to give up its turn before it is ended.
const INTERRUPT_GRACE: Duration = Duration::from_secs(10);

impl Drive<'_> {
    /// Makes sure of a process, and commits that the turn runs on it. Running is durable before the prompt is written.
    pub(super) async fn start(&mut self) -> Result<(Uuid, Claim), Option<Box<End>>> {
        self.claim_spare().await;
        let told = |running: &Running| running.scene_revision == self.conversation.scene_revision;
        if self.lease.running.as_ref().is_some_and(|running| !told(running)) {
            // Its context was made anew: a new process is told, and resumes the memory.
            self.keep_transcript();
            self.end_process(Stop::Graceful).await;
        }
        let usable = |running: &Running| running.process.state().borrow().is_idle();
        if self.lease.running.as_ref().is_some_and(|running| !usable(running)) {
            // It is on its way out, and what it remembers was kept when its last turn ended.
            self.end_process(Stop::Now).await;
        }
        if self.lease.running.is_none() {
            let running = self.start_process().await.map_err(Some)?;
            self.lease.process_started(&running).await;
            self.lease.running = Some(running);
        }
        let running = self.lease.running.as_mut().expect("made sure of above");
        let (session_id, reset) = (running.session_id, running.session_reset.take());
        let user_uuid = Uuid::new_v4();
        let start = StartTurn { instance_id: self.lease.instance_id, session_id, user_uuid };
        let started = self
            .task
            .store
            .start_turn(self.turn.id, start)
            .await
            .map_err(|error| self.record_failed(&error))?;
        self.renew(started.turn);
        self.task.live.publish(vec![started.event]);
        let monitor = self.task.hub.monitor();
        monitor.turn_started(self.lease.instance_id, &self.task.live, self.turn.attempt);
        if let Some(reason) = reset {
            let reason = self.rebuild(reason).await;
            self.append(started.lease, EventKind::SessionReset { reason }).await.map_err(|()| None)?;
        } else {
            // It remembers, whatever an attempt before had to be told.
            self.memory = None;
        }
        Ok((user_uuid, started.lease))
    }

    async fn start_process(&mut self) -> Result<Running, Box<End>> {
        let fail = |reason, message: String| Transition::Fail {
            failure: Failure::new(reason, message),
            partial_text: String::new(),
        };
        let attempt = self.turn.attempt;
        if let Err(not_ready) = self.task.backend.ready().await {
            let reason = match not_ready.reason {
                NotReadyReason::TooOld => FailureReason::ClaudeTooOld,
                NotReadyReason::NotFound => FailureReason::ClaudeNotFound,
            };
            return Err(Box::new(End::unstarted(attempt, fail(reason, not_ready.message))));
        }
        // Read afresh: the turn before this one may have changed what Claude remembers.
        if let Ok(Some(now)) = self.task.store.conversation(self.conversation.id).await {
            self.conversation = now;
        }
        let mut endings = self.task.live.endings();
        let model = self.lease.model.clone();
        let (condition, retry) = (&self.task.condition, &self.task.retry);
        let mut failures = 0;
        loop {
            let starting = async {
                let waits_for = WaitsFor::Backend;
                let place = Place { position: 0, ahead: 0, waits_for };
                let trial = condition.may_start(|| self.task.live.push(LiveEvent::Queued(place))).await;
                let (id, conversation) = (self.lease.instance_id, &self.conversation);
                (trial, self.task.backend.start(id, conversation, model.as_deref(), self.take_up()).await)
            };
            let starting = starting.instrument(trace::start_process(attempt));
            let transition = tokio::select! {
                started = starting => match started {
                    (trial, Ok(running)) => {
                        self.trial = trial;
                        return Ok(running);
                    }
                    (_, Err(error @ StartError::NotFound { .. })) => {
                        fail(FailureReason::ClaudeNotFound, chain(&error))
                    }
                    (trial, Err(error)) => {
                        failures += 1;
                        condition.start_failed(&error);
                        drop(trial);
                        let pause = delay(AFTER_LOSS, failures, retry.max_delay, dice());
                        let left = attempt + failures < retry.max_attempts;
                        // Nothing is lost but time: no attempt is spent on it, and there is no event.
                        if left && Instant::now() + pause < self.deadline && condition.take_retry(retry.budget) {
                            self.task.figures.turn_retried(false);
                            tokio::time::sleep(pause).await;
                            continue;
                        }
                        fail(FailureReason::SpawnFailed, chain(&error))
                    }
                },
                wanted = wanted(&mut endings, false) => wanted.transition,
                () = tokio::time::sleep_until(self.deadline) => {
                    fail(FailureReason::TurnTimeout, "its time was over before its process was ready".to_owned())
                }
            };
            return Err(Box::new(End::unstarted(attempt, transition)));
        }
    }

    /// Which memory an attempt begins with.
    fn take_up(&self) -> TakeUp {
        match self.turn.attempt {
            _ if self.anew => TakeUp::Nothing,
            0 => TakeUp::Latest,
            _ => TakeUp::BeforeLastPrompt,
        }
    }

    /// Takes a record as the store gives it back from a write: without what was asked, which does not change.
    pub(super) fn renew(&mut self, turn: Turn) {
        let asked = self.turn.asked.take();
        self.turn = Turn { asked, ..turn };
    }

    pub(super) async fn interrupt(&self, process: &dyn Worker) -> Instant {
        let until = Instant::now() + INTERRUPT_GRACE;
        match tokio::time::timeout_at(until, process.interrupt()).await {
            Ok(Ok(())) => until,
            // It cannot hear: it is ended at once.
            Ok(Err(_)) | Err(_) => Instant::now(),
        }
    }

    /// The answer to what was sent last, if the session's file holds it.
    pub(super) async fn answer_of_transcript(&self) -> Option<TurnEnd> {
        let (backend, conversation) = (self.task.backend.clone(), self.conversation.id);
        let sent = *self.user_uuids.last()?;
        let fate = tokio::task::spawn_blocking(move || backend.fate(conversation, sent)).await;
        let Ok(Fate::Answered(answer)) = fate else { return None };
        Some(TurnEnd {
            outcome: Outcome::Answer { text: answer.text },
            usage: answer.usage,
            cost_usd: 0.0,
            session_id: String::new(),
            last_assistant_uuid: Some(answer.assistant_uuid),
            num_turns: 1,
            duration: Duration::ZERO,
        })
    }

    /// Ends what is left of the process and takes it off the lease.
    pub(super) async fn end_process(&mut self, how: Stop) -> Option<ExitInfo> {
        let mut running = self.lease.running.take()?;
        let exit = running.process.stop(how).await;
        if let Some(trial) = self.trial.take()
            && matches!(exit.cause, ExitCause::Crashed | ExitCause::Protocol(_))
        {
            trial.died();
        }
        self.report.exit = Some(crate::dispatcher::exit_record(&exit));
        let (backend, id) = (self.task.backend.clone(), self.lease.instance_id);
        let (conversation, sent) = (self.conversation.clone(), self.user_uuids.clone());
        let keep = move || {
            backend.keep_left_transcript(id, &conversation, &mut running, &sent);
            running
        };
        if tokio::task::spawn_blocking(keep).await.is_err() {
            tracing::error!(turn.id = %self.turn.id, "transcript of an ended process could not be looked at");
        }
        Some(exit)
    }
}

/// What a process's death comes to.
pub(super) fn died(exit: &ExitInfo) -> Failure<FailureReason> {
    let (reason, what) = match &exit.cause {
        ExitCause::Protocol(what) => (FailureReason::ProtocolError, what.as_str()),
        ExitCause::Stalled(what) => return Failure::new(FailureReason::ProcessStalled, what),
        ExitCause::Stopped | ExitCause::Crashed | ExitCause::Killed => {
            (FailureReason::ProcessDied, "the Claude process died")
        }
    };
    let code = exit.code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
    let said = exit.stderr.trim();
    let colon = if said.is_empty() { "" } else { ": " };
    Failure::new(reason, format!("{what} (exit code {code}){colon}{said}"))
}
