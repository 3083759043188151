//! A turn on its instance: attempt by attempt, write the message, follow the answer.

use std::time::SystemTime;

use claude_comms_model::{
    Conversation, EventKind, Failure, FailureReason, Timestamp, Transition, Turn, Usage,
};
use claude_comms_store::Lease as Claim;
use claude_comms_stream_json::turn::{FailureReason as Cli, Outcome, TurnEnd, TurnUpdate};
use claude_comms_supervisor::Stop;
use tokio::time::Instant;
use tracing::Instrument as _;
use uuid::Uuid;

use super::{
    Demand, GivenBack, TurnTask,
    end::{End, Said, counted, usage_of},
    reset_event,
    retries::{Again, Next},
    store_failed,
};
use crate::{
    backend::chain,
    budget::Account,
    condition::{PATIENCE, Trial},
    dispatcher::{Lease, LeaseReport},
    live::{Ending, LiveEvent},
    telemetry::trace,
};

/// A turn that holds an instance.
pub(super) struct Drive<'a> {
    pub(super) task: &'a TurnTask,
    pub(super) turn: Turn,
    pub(super) conversation: Conversation,
    pub(super) lease: Lease,
    pub(super) deadline: Instant,
    pub(super) report: LeaseReport,
    first_token: Option<Timestamp>,
    pub(super) output_began: bool,
    /// Until when the backend has said that it will say nothing.
    pub(super) patient_until: Instant,
    /// Its process is to take no other turn.
    pub(super) retire: bool,
    /// What Claude has forgotten, told again: it goes before the message.
    pub(super) memory: Option<String>,
    /// It goes on in a new session, because the old one has become too long.
    pub(super) anew: bool,
    /// The ids of what was sent, in each attempt.
    pub(super) user_uuids: Vec<Uuid>,
    /// What its answer must be.
    pub(super) demand: Demand,
    /// Its process is the one that decides whether others are started.
    pub(super) trial: Option<Trial>,
    /// Watchers know that it waits for the account's limit.
    pub(super) told_limit: bool,
    /// It waits in the store from now on, untouched.
    pub(super) let_go: bool,
    /// What answers cost that were not the last one.
    pub(super) spent: (Usage, f64),
    /// What it may cost, and does.
    pub(super) account: Account,
}

/// What an attempt came to.
pub(super) enum Attempt {
    /// The backend ended the turn, and what others say of its end.
    Ended(Box<TurnEnd>, Said),
    /// It ends for another reason, its process is gone.
    Over(Transition),
    /// It came to nothing before its first output: why, and what the backend said, if it said something.
    Again(Box<Again>, Option<Box<TurnEnd>>),
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
        account: Account,
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
            patient_until: Instant::now(),
            retire: false,
            memory: None,
            anew: false,
            user_uuids: Vec::new(),
            demand: Demand::Nothing,
            trial: None,
            told_limit: false,
            let_go: false,
            spent: (Usage::default(), 0.0),
            account,
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
                None => match self.begin().await {
                    Ok(started) => started,
                    Err(Some(end)) => {
                        // Of an attempt before.
                        let end = end.remembered(self.is_remembered().await);
                        return self.over(end).await;
                    }
                    Err(None) => return self.broken(),
                },
            };
            let message = self.message();
            let span = trace::exchange(self.turn.attempt);
            let attempt = match self.await_account(false).await {
                Ok(()) => self.exchange(user_uuid, message, claim).instrument(span).await,
                Err(Some(transition)) => Attempt::Over(transition),
                Err(None) => Attempt::Broken,
            };
            match self.judged(attempt, claim).await {
                Attempt::Ended(end, said) => {
                    // The last of the text is on its way before the disk is asked.
                    tokio::task::yield_now().await;
                    self.keep_transcript();
                    let end = End::answered(&self.turn, claim, *end, said, self.first_token, || {
                        self.task.live.text()
                    });
                    return self.over(end).await;
                }
                Attempt::Over(transition) => {
                    let known = self.is_remembered().await;
                    let end = End::cut(&self.turn, claim, transition, known, self.first_token);
                    return self.over(end).await;
                }
                Attempt::Again(again, end) => {
                    let failure = again.why.clone();
                    // Nothing is tried again beyond a budget.
                    let spent = self.account.exceeded().is_some();
                    let next = if spent { Next::Not } else { self.again(claim, *again).await };
                    if let (Next::Go | Next::Over(_), Some(end)) = (&next, &end) {
                        self.spend(end);
                    }
                    match next {
                        Next::Go => {}
                        Next::Over(end) => return self.over(*end).await,
                        Next::Broken => return self.broken(),
                        Next::Not => {
                            let end = match end {
                                Some(end) => self.given_up(claim, *end),
                                None => {
                                    let transition =
                                        Transition::Fail { failure, partial_text: String::new() };
                                    let known = self.is_remembered().await;
                                    End::cut(&self.turn, claim, transition, known, None)
                                }
                            };
                            return self.over(end).await;
                        }
                    }
                }
                Attempt::Broken => return self.broken(),
            }
        }
    }

    /// Counts what an answer cost that is not the turn's.
    pub(super) fn spend(&mut self, end: &TurnEnd) {
        self.spent.0 += usage_of(end);
        self.spent.1 += end.cost_usd;
    }

    /// The end of a turn that the API could not take, and that is not tried again.
    fn given_up(&mut self, claim: Claim, end: TurnEnd) -> End {
        self.keep_transcript();
        let limited = matches!(end.outcome, Outcome::Failed { reason: Cli::RateLimited, .. });
        let said = match self.task.condition.account_blocked().filter(|_| limited) {
            Some(until) => Said::Judged(self.account_limit(until)),
            None => Said::Nothing,
        };
        End::answered(&self.turn, claim, end, said, self.first_token, || self.task.live.text())
    }

    /// Applies what one wake of the reader found. Durable events are committed before they are told.
    pub(super) async fn take(
        &mut self,
        batch: Vec<TurnUpdate>,
        claim: Claim,
    ) -> Result<Option<Box<TurnEnd>>, ()> {
        let live = &self.task.live;
        for update in batch {
            match update {
                TurnUpdate::Init { .. } => {}
                TurnUpdate::Usage { model, usage, step } => {
                    if let Some(failure) = self.account.message(&model, counted(usage), step) {
                        live.request_end(Ending::Fail(failure));
                    }
                }
                TurnUpdate::OutputBegan => {
                    self.output_began = true;
                    if let Some(trial) = self.trial.take() {
                        trial.worked();
                    }
                }
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
                    self.task.figures.call_repeated();
                    self.patient_until = Instant::now() + delay;
                    if http_status == Some(429) {
                        self.task.condition.told_to_wait(delay);
                    }
                    let until = SystemTime::now().checked_add(delay).filter(|_| delay > PATIENCE);
                    live.push(LiveEvent::ApiRetry {
                        attempt,
                        max_attempts,
                        delay,
                        http_status,
                        error,
                        until,
                    });
                }
                TurnUpdate::RateLimit(info) => self.task.condition.account_said(&info),
                TurnUpdate::Compacted { trigger, tokens_before, tokens_after } => {
                    live.push(LiveEvent::ContextCompacted { trigger, tokens_before, tokens_after });
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
                TurnUpdate::End(end) => {
                    let whole = matches!(end.outcome, Outcome::Answer { .. });
                    self.account.answered(end.cost_usd, whole);
                    return Ok(Some(end));
                }
            }
        }
        Ok(None)
    }

    pub(super) async fn append(&self, claim: Claim, kind: EventKind) -> Result<(), ()> {
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

    pub(super) fn keep_transcript(&mut self) {
        if let Some(running) = &mut self.lease.running {
            self.task.backend.keep_transcript(self.lease.instance_id, &self.conversation, running);
        }
    }

    /// Whether Claude will know the prompt in later turns: a process that is killed may not have written it down.
    pub(super) async fn is_remembered(&self) -> bool {
        if self.user_uuids.is_empty() {
            return false;
        }
        let (backend, id, sent) = (self.task.backend.clone(), self.conversation.id, self.user_uuids.clone());
        tokio::task::spawn_blocking(move || backend.remembers(id, &sent)).await.unwrap_or(false)
    }

    pub(super) fn record_failed(&self, error: &claude_comms_store::StoreError) -> Option<Box<End>> {
        tracing::error!(error = chain(error), turn.id = %self.turn.id, "turn could not be recorded");
        self.task.live.detach(store_failed(error));
        None
    }

    async fn over(mut self, end: End) -> GivenBack {
        let end = end.with_cut(self.account.cut()).plus(self.spent);
        self.account.settle(end.cost_usd());
        self.report.turn = Some((end.usage(), end.cost_usd()));
        self.task.finish(end, self.turn.asked.take()).await;
        if self.retire {
            self.end_process(Stop::Graceful).await;
        }
        Some((self.lease, self.report))
    }

    /// Nothing more can be promised for this turn here. What its process does must not go on unseen.
    fn broken(mut self) -> GivenBack {
        if !self.let_go {
            self.lease.running = None;
        }
        Some((self.lease, self.report))
    }
}
