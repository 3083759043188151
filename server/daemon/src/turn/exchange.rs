//! One exchange with the process: a message goes there, and its answer is followed to its end, or to why there is none.
//! A process that says nothing for too long is given up.

use std::{sync::Arc, time::Duration};

use claude_comms_model::{EventKind, Failure, FailureReason, ResetReason, Transition};
use claude_comms_store::Lease as Claim;
use claude_comms_stream_json::turn::{Outcome, TurnEnd};
use claude_comms_supervisor::{Stop, TurnUpdates};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    drive::{Attempt, Drive},
    end::Said,
    process::died,
    retries::Again,
};
use crate::{
    backend::{Worker, chain},
    live::wanted,
};

/// How long a process may still say something once it was silent for too long: it may have been the server that stood still.
const AFTER_PAUSE: Duration = Duration::from_secs(2);

/// Why a turn is being ended before the backend has ended it.
enum Instead {
    /// Somebody wants it, or its time is over.
    Asked(Transition),
    /// Its process says nothing.
    Stalled,
}

impl Drive<'_> {
    /// Gives a message to the process and follows the answer.
    pub(super) async fn exchange(&mut self, user_uuid: Uuid, message: String, claim: Claim) -> Attempt {
        let process = match &self.lease.running {
            Some(running) => Arc::clone(&running.process),
            None => return Attempt::Broken,
        };
        self.user_uuids.push(user_uuid);
        match process.send(user_uuid, message).await {
            Ok(updates) => self.follow(process, updates, claim).await,
            Err(error) => {
                tracing::info!(error = chain(&error), turn.id = %self.turn.id, "process took no prompt");
                drop(process);
                self.gone(Stop::Now, claim).await
            }
        }
    }

    async fn follow(&mut self, process: Arc<dyn Worker>, mut updates: TurnUpdates, claim: Claim) -> Attempt {
        let mut endings = self.task.live.endings();
        let mut instead: Option<Instead> = None;
        let mut until = self.deadline;
        let silence = self.task.silence_timeout;
        let mut quiet_until = updates.last_heard() + silence;
        let mut doubted = None;
        loop {
            let asked = instead.is_some();
            tokio::select! {
                batch = updates.next() => {
                    let Some(batch) = batch else {
                        drop(process);
                        return self.without_a_word(instead, claim).await;
                    };
                    match self.take(batch, claim).await {
                        Ok(Some(end)) => return self.answered(end, instead, claim).await,
                        // It waits longer than the turn has time.
                        Ok(None) if instead.is_none() && self.patient_until >= self.deadline => {
                            if let Some(reset) = self.task.condition.account_blocked() {
                                instead = Some(Instead::Asked(self.account_limit(reset)));
                                until = self.interrupt(process.as_ref()).await;
                            }
                        }
                        Ok(None) => {}
                        Err(()) => {
                            self.end_process(Stop::Now).await;
                            return Attempt::Broken;
                        }
                    }
                }
                wanted = wanted(&mut endings, asked) => {
                    let transition = match instead.take() {
                        Some(Instead::Asked(transition)) => transition,
                        Some(Instead::Stalled) | None => wanted.transition,
                    };
                    if wanted.kill {
                        drop(process);
                        return self.without_a_word(Some(Instead::Asked(transition)), claim).await;
                    }
                    instead = Some(Instead::Asked(transition));
                    until = self.interrupt(process.as_ref()).await;
                }
                () = tokio::time::sleep_until(quiet_until), if !asked => {
                    // A pause that the backend has announced is none of its silence.
                    quiet_until = updates.last_heard().max(self.patient_until) + silence;
                    let silent = quiet_until <= Instant::now() && !updates.has_waiting();
                    if silent && doubted.replace(updates.last_heard()) != Some(updates.last_heard()) {
                        quiet_until = Instant::now() + AFTER_PAUSE;
                    } else if silent {
                        tracing::warn!(turn.id = %self.turn.id, "its process has said nothing for too long");
                        instead = Some(Instead::Stalled);
                        until = self.interrupt(process.as_ref()).await;
                    }
                }
                () = tokio::time::sleep_until(until) => match instead {
                    Some(_) => {
                        drop(process);
                        return self.without_a_word(instead, claim).await;
                    }
                    None => {
                        instead = Some(Instead::Asked(self.out_of_time()));
                        until = self.interrupt(process.as_ref()).await;
                    }
                },
            }
        }
    }

    fn out_of_time(&self) -> Transition {
        let limit = Duration::from_micros(self.turn.timeout_micros);
        let words = format!("it did not end within its time of {limit:?}");
        Transition::Fail {
            failure: Failure::new(FailureReason::TurnTimeout, words),
            partial_text: String::new(),
        }
    }

    fn stalled(&self) -> Failure<FailureReason> {
        let silence = humantime::format_duration(self.task.silence_timeout);
        let words = format!("its process said nothing for {silence} (pool.silence_timeout)");
        Failure::new(FailureReason::ProcessStalled, words)
    }

    /// The backend ended the turn, perhaps because it was interrupted.
    async fn answered(&mut self, end: Box<TurnEnd>, instead: Option<Instead>, claim: Claim) -> Attempt {
        if !matches!(instead, Some(Instead::Stalled)) {
            self.task.condition.turn_ended(self.trial.take());
        }
        match instead {
            None => match self.too_long(&end).or_else(|| Again::after(&end, self.output_began)) {
                Some(again) => Attempt::Again(Box::new(again), Some(end)),
                None => Attempt::Ended(end, Said::Nothing),
            },
            Some(Instead::Asked(transition)) => {
                Attempt::Ended(end, Said::Asked(self.with_partial(transition)))
            }
            // It came after all.
            Some(Instead::Stalled) if matches!(end.outcome, Outcome::Answer { .. }) => {
                Attempt::Ended(end, Said::Nothing)
            }
            // It heard the interrupt, and yet nobody should wait for it once more.
            Some(Instead::Stalled) => {
                let failure = self.stalled();
                if !self.output_began {
                    self.end_process(Stop::Now).await;
                    let attempt = self.lost(failure, claim).await;
                    if !matches!(attempt, Attempt::Ended(..)) {
                        self.spend(&end);
                    }
                    return attempt;
                }
                self.retire = true;
                let transition = Transition::Fail { failure, partial_text: String::new() };
                Attempt::Ended(end, Said::Asked(self.with_partial(transition)))
            }
        }
    }

    /// No end comes of the process, whether it is gone already or has had its grace.
    async fn without_a_word(&mut self, instead: Option<Instead>, claim: Claim) -> Attempt {
        match instead {
            None => self.gone(Stop::Graceful, claim).await,
            Some(Instead::Asked(transition)) => {
                self.end_process(Stop::Now).await;
                Attempt::Over(self.with_partial(transition))
            }
            Some(Instead::Stalled) => {
                self.end_process(Stop::Now).await;
                let failure = self.stalled();
                self.lost(failure, claim).await
            }
        }
    }

    /// The process is gone under the turn, or tells nothing more. With [`Stop::Graceful`] it is waited for: it may be
    /// writing down its answer, and is ended anyway if that takes too long.
    async fn gone(&mut self, how: Stop, claim: Claim) -> Attempt {
        if let (Stop::Graceful, Some(running)) = (how, &self.lease.running) {
            let mut states = running.process.state();
            // A sender that is gone took the process with it.
            let _ = states.wait_for(|state| state.exit().is_some()).await;
        }
        match self.end_process(Stop::Now).await {
            Some(exit) => self.lost(died(&exit), claim).await,
            None => Attempt::Broken,
        }
    }

    /// The result is lost with the process: the CLI's own transcript says whether there was an answer.
    async fn lost(&mut self, failure: Failure<FailureReason>, claim: Claim) -> Attempt {
        if let Some(end) = self.answer_of_transcript().await {
            tracing::info!(turn.id = %self.turn.id, "the result was lost; the transcript has the whole answer");
            return match self.show_whole(&end, claim).await {
                Ok(()) => Attempt::Ended(Box::new(end), Said::Nothing),
                Err(()) => Attempt::Broken,
            };
        }
        if !self.output_began {
            let again = Again { why: failure, by_api: false, http_status: None };
            return Attempt::Again(Box::new(again), None);
        }
        Attempt::Over(self.with_partial(Transition::Fail { failure, partial_text: String::new() }))
    }

    /// Lets the watchers have what they did not see of an answer that the transcript had.
    async fn show_whole(&mut self, end: &TurnEnd, claim: Claim) -> Result<(), ()> {
        let Outcome::Answer { text } = &end.outcome else { return Ok(()) };
        let seen = self.task.live.text();
        match text.strip_prefix(&*seen) {
            Some("") => {}
            Some(rest) => self.task.live.push_text(rest),
            None => {
                self.append(claim, EventKind::TextReset { reason: ResetReason::Replaced }).await?;
                self.task.live.push_text(text);
            }
        }
        Ok(())
    }

    fn with_partial(&self, transition: Transition) -> Transition {
        transition.with_partial(self.task.live.text())
    }
}
