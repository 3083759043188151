//! A turn on its instance: start a process where there is none, write the prompt, follow the answer.

use std::time::{Duration, SystemTime};

use claude_comms_model::{
    Conversation, EventKind, Failure, FailureReason, Timestamp, Transition, Turn, Usage,
};
use claude_comms_store::{Lease as Claim, StartTurn};
use claude_comms_stream_json::turn::{TurnEnd, TurnUpdate};
use claude_comms_supervisor::{ExitInfo, StartError, Stop};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Demand, GivenBack, TurnTask, end::End, requested, reset_event, store_failed, take_up};
use crate::{
    backend::{NotReadyReason, Running, chain},
    dispatcher::{Lease, LeaseReport},
    live::LiveEvent,
};

/// How long an interrupted process may take to give up its turn before it is ended.
const INTERRUPT_GRACE: Duration = Duration::from_secs(10);
/// Pause before a turn is given to a new process; the second one is longer.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// A turn that holds an instance.
pub(super) struct Drive<'a> {
    pub(super) task: &'a TurnTask,
    pub(super) turn: Turn,
    conversation: Conversation,
    lease: Lease,
    deadline: Instant,
    report: LeaseReport,
    first_token: Option<Timestamp>,
    output_began: bool,
    /// The ids of what was sent, in each attempt.
    pub(super) user_uuids: Vec<Uuid>,
    /// What its answer must be.
    pub(super) demand: Demand,
    /// What answers cost that were not the last one.
    pub(super) spent: (Usage, f64),
}

/// What an attempt came to.
pub(super) enum Attempt {
    /// The backend ended the turn; the transition is what it comes to, where that is not for the backend to say.
    Ended(Box<TurnEnd>, Option<Transition>),
    /// It ends for another reason, its process is gone.
    Over(Transition),
    /// The process died before it began to answer.
    DiedEarly(ExitInfo),
    /// The record could not be written: nothing more can be promised.
    Broken,
}

impl<'a> Drive<'a> {
    pub(super) fn new(
        task: &'a TurnTask,
        turn: Turn,
        conversation: Conversation,
        lease: Lease,
        deadline: Instant,
    ) -> Self {
        Self {
            task,
            turn,
            conversation,
            lease,
            deadline,
            report: LeaseReport::default(),
            first_token: None,
            output_began: false,
            user_uuids: Vec::new(),
            demand: Demand::Nothing,
            spent: (Usage::default(), 0.0),
        }
    }

    pub(super) async fn run(mut self, mut started: Option<(Uuid, Claim)>) -> GivenBack {
        self.demand = match Demand::of(self.turn.asked.as_deref()) {
            Ok(demand) => demand,
            Err(words) => {
                let failure = Failure::new(FailureReason::Internal, words);
                let transition = Transition::Fail { failure, partial_text: String::new() };
                let end = match started {
                    Some((_, claim)) => End::cut(&self.turn, claim, transition, false, None),
                    None => End::unstarted(self.turn.attempt, transition),
                };
                return self.over(end).await;
            }
        };
        loop {
            let (user_uuid, claim) = match started.take() {
                Some(started) => started,
                None => match self.start().await {
                    Ok(started) => started,
                    Err(Some(end)) => return self.over(*end).await,
                    Err(None) => return self.broken(),
                },
            };
            let message = self.turn.message().to_owned();
            let attempt = self.exchange(user_uuid, message, claim).await;
            match self.judged(attempt, claim).await {
                Attempt::Ended(end, instead) => {
                    // The last of the text is on its way before the disk is asked.
                    tokio::task::yield_now().await;
                    self.keep_transcript();
                    let end = End::answered(&self.turn, claim, *end, instead, self.first_token, || {
                        self.task.live.text()
                    });
                    return self.over(end).await;
                }
                Attempt::Over(transition) => {
                    let end = End::cut(&self.turn, claim, transition, self.is_remembered(), self.first_token);
                    return self.over(end).await;
                }
                Attempt::DiedEarly(exit) if self.turn.attempt < self.task.max_attempts => {
                    if !self.requeue(claim, &exit).await {
                        return self.broken();
                    }
                }
                Attempt::DiedEarly(exit) => {
                    let transition = died(&exit, String::new());
                    let end = End::cut(&self.turn, claim, transition, self.is_remembered(), None);
                    return self.over(end).await;
                }
                Attempt::Broken => return self.broken(),
            }
        }
    }

    /// Makes sure of a process, and commits that the turn runs on it. Running is durable before the prompt is written.
    async fn start(&mut self) -> Result<(Uuid, Claim), Option<Box<End>>> {
        let told = |running: &Running| running.scene_revision == self.conversation.scene_revision;
        if self.lease.running.as_ref().is_some_and(|running| !told(running)) {
            // Its context was made anew: a new process is told, and resumes the memory.
            self.keep_transcript();
            self.end_process(Stop::Graceful).await;
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
        self.turn = started.turn;
        self.task.live.publish(vec![started.event]);
        if let Some(reason) = reset {
            self.append(started.lease, EventKind::SessionReset { reason }).await.map_err(|()| None)?;
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
        let mut cancel = self.task.live.cancel_requests();
        let model = self.lease.model.clone();
        let starting = self.task.backend.start(
            self.lease.instance_id,
            &self.conversation,
            model.as_deref(),
            take_up(attempt),
        );
        let transition = tokio::select! {
            started = starting => match started {
                Ok(running) => return Ok(running),
                Err(error @ StartError::NotFound { .. }) => fail(FailureReason::ClaudeNotFound, chain(&error)),
                Err(error) => fail(FailureReason::SpawnFailed, chain(&error)),
            },
            failure = requested(&mut cancel) => Transition::Cancel { failure, partial_text: String::new() },
            () = tokio::time::sleep_until(self.deadline) => {
                fail(FailureReason::TurnTimeout, "its time was over before its process was ready".to_owned())
            }
        };
        Err(Box::new(End::unstarted(attempt, transition)))
    }

    /// Gives a message to the process and follows the answer.
    pub(super) async fn exchange(&mut self, user_uuid: Uuid, message: String, claim: Claim) -> Attempt {
        let process = match &self.lease.running {
            Some(running) => running.process.clone(),
            None => return Attempt::Broken,
        };
        self.user_uuids.push(user_uuid);
        let mut updates = match process.send(user_uuid, message).await {
            Ok(updates) => updates,
            Err(error) => {
                tracing::info!(error = chain(&error), turn.id = %self.turn.id, "process took no prompt");
                drop(process);
                return self.gone().await;
            }
        };
        let mut cancel = self.task.live.cancel_requests();
        let mut instead: Option<Transition> = None;
        let mut until = self.deadline;
        loop {
            let asked = instead.is_some();
            tokio::select! {
                batch = updates.next() => {
                    let Some(batch) = batch else {
                        drop(process);
                        return match instead {
                            Some(transition) => {
                                self.end_process(Stop::Now).await;
                                Attempt::Over(self.with_partial(transition))
                            }
                            None => self.gone().await,
                        };
                    };
                    match self.take(batch, claim).await {
                        Ok(Some(end)) => return Attempt::Ended(end, instead.map(|t| self.with_partial(t))),
                        Ok(None) => {}
                        Err(()) => {
                            self.end_process(Stop::Now).await;
                            return Attempt::Broken;
                        }
                    }
                }
                failure = requested(&mut cancel), if !asked => {
                    instead = Some(Transition::Cancel { failure, partial_text: String::new() });
                    until = self.interrupt(&process).await;
                }
                () = tokio::time::sleep_until(until) => match instead.take() {
                    Some(transition) => {
                        drop(process);
                        self.end_process(Stop::Now).await;
                        return Attempt::Over(self.with_partial(transition));
                    }
                    None => {
                        instead = Some(Transition::Fail {
                            failure: Failure::new(FailureReason::TurnTimeout, format!("it did not end within its time of {:?}", std::time::Duration::from_micros(self.turn.timeout_micros))),
                            partial_text: String::new(),
                        });
                        until = self.interrupt(&process).await;
                    }
                },
            }
        }
    }

    async fn interrupt(&self, process: &claude_comms_supervisor::Process) -> Instant {
        let until = Instant::now() + INTERRUPT_GRACE;
        match tokio::time::timeout_at(until, process.interrupt()).await {
            Ok(Ok(())) => until,
            // It cannot hear: it is ended at once.
            Ok(Err(_)) | Err(_) => Instant::now(),
        }
    }

    /// Applies what one wake of the reader found. Durable events are committed before they are told.
    async fn take(&mut self, batch: Vec<TurnUpdate>, claim: Claim) -> Result<Option<Box<TurnEnd>>, ()> {
        let live = &self.task.live;
        for update in batch {
            match update {
                TurnUpdate::Init { .. } => {}
                TurnUpdate::OutputBegan => self.output_began = true,
                TurnUpdate::Text(text) => {
                    self.first_token.get_or_insert_with(|| SystemTime::now().into());
                    live.push_text(&text);
                }
                TurnUpdate::Reset { reason } => self.append(claim, reset_event(reason)).await?,
                TurnUpdate::ToolCall { id, name, input_json } => {
                    live.push(LiveEvent::ToolCall { id, name, input_json });
                }
                TurnUpdate::ToolResult { id, is_error, content_json } => {
                    live.push(LiveEvent::ToolResult { id, is_error, content_json });
                }
                TurnUpdate::ApiRetry { attempt, max_attempts, delay, http_status, error } => {
                    live.push(LiveEvent::ApiRetry { attempt, max_attempts, delay, http_status, error });
                }
                TurnUpdate::SessionReset { new_session_id } => {
                    if let (Some(running), Ok(id)) =
                        (&mut self.lease.running, Uuid::parse_str(&new_session_id))
                    {
                        running.session_id = id;
                    }
                    let reason = "Claude Code began a new session".to_owned();
                    self.append(claim, EventKind::SessionReset { reason }).await?;
                }
                TurnUpdate::End(end) => return Ok(Some(end)),
            }
        }
        Ok(None)
    }

    async fn append(&self, claim: Claim, kind: EventKind) -> Result<(), ()> {
        match self.task.store.append(claim, self.turn.id, self.turn.attempt, vec![kind]).await {
            Ok(events) => {
                self.task.live.publish(events);
                Ok(())
            }
            Err(error) => {
                tracing::error!(error = chain(&error), turn.id = %self.turn.id, "event could not be recorded");
                self.task.live.detach(store_failed(&error));
                Err(())
            }
        }
    }

    /// The process is gone under the turn.
    async fn gone(&mut self) -> Attempt {
        let exit = self.end_process(Stop::Now).await;
        match exit {
            Some(exit) if !self.output_began => Attempt::DiedEarly(exit),
            Some(exit) => Attempt::Over(died(&exit, self.task.live.text())),
            None => Attempt::Broken,
        }
    }

    /// Ends what is left of the process and takes it off the lease.
    pub(super) async fn end_process(&mut self, how: Stop) -> Option<ExitInfo> {
        let mut running = self.lease.running.take()?;
        let exit = running.process.stop(how).await;
        self.report.exit = Some(crate::dispatcher::exit_record(&exit));
        self.task.backend.keep_left_transcript(self.lease.instance_id, &self.conversation, &mut running);
        Some(exit)
    }

    /// Records that the turn waits for a new process, and waits a little.
    async fn requeue(&mut self, claim: Claim, exit: &ExitInfo) -> bool {
        let delay = RETRY_DELAY * self.turn.attempt;
        let kind = EventKind::Retrying {
            attempt: self.turn.attempt,
            max_attempts: self.task.max_attempts - 1,
            delay,
            reason: FailureReason::ProcessDied.as_str().to_owned(),
        };
        tracing::warn!(turn.id = %self.turn.id, code = ?exit.code, stderr = exit.stderr, "process died before it answered");
        match self.task.store.requeue_turn(claim, self.turn.id, self.turn.attempt, kind).await {
            Ok((turn, event)) => {
                self.turn = turn;
                self.task.live.publish(vec![event]);
                tokio::time::sleep(delay).await;
                true
            }
            Err(error) => {
                self.record_failed(&error);
                false
            }
        }
    }

    fn with_partial(&self, transition: Transition) -> Transition {
        transition.with_partial(self.task.live.text())
    }

    fn keep_transcript(&mut self) {
        if let Some(running) = &mut self.lease.running {
            self.task.backend.keep_transcript(self.lease.instance_id, &self.conversation, running);
        }
    }

    /// Whether Claude will know the prompt in later turns: a process that is killed may not have written it down.
    fn is_remembered(&self) -> bool {
        self.task.backend.remembers(self.conversation.id, &self.user_uuids)
    }

    pub(super) fn record_failed(&self, error: &claude_comms_store::StoreError) -> Option<Box<End>> {
        tracing::error!(error = chain(error), turn.id = %self.turn.id, "turn could not be recorded");
        self.task.live.detach(store_failed(error));
        None
    }

    async fn over(mut self, end: End) -> GivenBack {
        let end = end.plus(self.spent);
        self.report.turn = Some((end.usage(), end.cost_usd()));
        self.task.finish(end).await;
        Some((self.lease, self.report))
    }

    /// Nothing more can be promised for this turn here. What its process does must not go on unseen.
    fn broken(mut self) -> GivenBack {
        self.lease.running = None;
        Some((self.lease, self.report))
    }
}

fn died(exit: &ExitInfo, partial_text: String) -> Transition {
    let code = exit.code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
    let (reason, what) = match &exit.cause {
        claude_comms_supervisor::ExitCause::Protocol(what) => (FailureReason::ProtocolError, what.as_str()),
        _ => (FailureReason::ProcessDied, "the Claude process died"),
    };
    let said = exit.stderr.trim();
    let colon = if said.is_empty() { "" } else { ": " };
    Transition::Fail {
        failure: Failure::new(reason, format!("{what} (exit code {code}){colon}{said}")),
        partial_text,
    }
}
