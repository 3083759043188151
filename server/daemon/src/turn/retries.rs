//! Whether a turn that came to nothing is tried again, when, and the wait until then. Only what had no output is, and only
//! what trying again can mend.

use std::time::{Duration, SystemTime};

use claude_comms_model::{EventKind, Failure, FailureReason, Transition};
use claude_comms_store::Lease as Claim;
use claude_comms_stream_json::turn::{FailureReason as Cli, Outcome, TurnEnd};
use claude_comms_supervisor::Stop;
use tokio::time::Instant;
use uuid::Uuid;

use super::{drive::Drive, end::End};
use crate::{
    condition::{AFTER_API_ERROR, AFTER_LOSS, delay, dice},
    live::{LiveEvent, wanted},
};

/// Turns that wait for the account's limit do not all come in the same moment.
const AFTER_RESET: Duration = Duration::from_secs(2);
/// What watchers of a turn are told that waits when the server ends.
const LET_GO: &str = "the server is shutting down; the turn stays queued and runs after its restart";
/// How often who waits for the account's limit looks whether it was lifted before.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// Why a turn may be tried again.
#[derive(Debug)]
pub(super) struct Again {
    /// Why it came to nothing.
    pub why: Failure<FailureReason>,
    /// The API could not take it, and its process told so. Otherwise the process was lost.
    pub by_api: bool,
    /// The API's last answer.
    pub http_status: Option<u16>,
}

/// What becomes of it.
pub(super) enum Next {
    /// It is tried again, now.
    Go,
    /// It ended while it waited.
    Over(Box<End>),
    /// It is not tried again.
    Not,
    /// The record could not be written.
    Broken,
}

impl Again {
    /// After the backend gave up, if that was before its first word and may be different the next time.
    pub(super) fn after(end: &TurnEnd, output_began: bool) -> Option<Self> {
        let Outcome::Failed { reason, http_status, message } = &end.outcome else { return None };
        let why = match reason {
            Cli::RateLimited => FailureReason::RateLimited,
            Cli::ApiOverloaded => FailureReason::ApiOverloaded,
            Cli::ApiServerError => FailureReason::ApiServerError,
            Cli::ApiUnreachable => FailureReason::ApiUnreachable,
            _ => return None,
        };
        let why = Failure::new(why, message.clone());
        (!output_began).then_some(Self { why, by_api: true, http_status: *http_status })
    }
}

impl Drive<'_> {
    /// Tries the turn again if it may be: records that, and waits.
    pub(super) async fn again(&mut self, claim: Claim, again: Again) -> Next {
        let Some((delay, until)) = self.plan(&again) else { return Next::Not };
        // A message that failed stays in the session's memory: the next attempt begins before it, on a new process.
        self.end_process(Stop::Graceful).await;
        let kind = EventKind::Retrying {
            attempt: self.turn.attempt,
            max_attempts: self.task.retry.max_attempts - 1,
            delay,
            reason: again.why.reason.as_str().to_owned(),
            again: again.by_api,
            http_status: again.http_status,
            until: until.map(Into::into),
        };
        // What a process wrote may quote the prompt: it is in the instance's record, not in the log.
        tracing::warn!(turn.id = %self.turn.id, reason = again.why.reason.as_str(), ?delay, "turn is tried again");
        match self.task.store.requeue_turn(claim, self.turn.id, self.turn.attempt, kind).await {
            Ok((turn, event)) => {
                self.task.figures.turn_retried(again.by_api);
                self.renew(turn);
                self.task.live.publish(vec![event]);
            }
            Err(error) => {
                self.record_failed(&error);
                return Next::Broken;
            }
        }
        if until.is_some() {
            // It waits before it begins again, and looks whether the limit was lifted before.
            self.told_limit = true;
            return Next::Go;
        }
        let mut endings = self.task.live.endings();
        let transition = tokio::select! {
            () = tokio::time::sleep(delay) => return Next::Go,
            wanted = wanted(&mut endings, false) => wanted.transition,
        };
        let end = End::unstarted(self.turn.attempt, transition).remembered(self.is_remembered().await);
        Next::Over(Box::new(end))
    }

    /// How long to wait and until when, if it is to be tried again.
    fn plan(&self, again: &Again) -> Option<(Duration, Option<SystemTime>)> {
        let retry = &self.task.retry;
        let limited = self.task.condition.account_blocked().filter(|_| again.by_api);
        // Told anew once in the turn's life.
        let anew = again.why.reason == FailureReason::PromptTooLong;
        // Neither is a retry in hope: the one waits for a known time, the other changes what is sent.
        let free = anew || limited.is_some();
        if !free && self.turn.attempt >= retry.max_attempts {
            return None;
        }
        let (wait, until) = match limited {
            // Nothing is gained by waiting.
            _ if anew => (Duration::ZERO, None),
            Some(until) => (left(until), Some(until)),
            None => {
                let first = if again.by_api { AFTER_API_ERROR } else { AFTER_LOSS };
                (delay(first, self.turn.attempt, retry.max_delay, dice()), None)
            }
        };
        let in_time = Instant::now() + wait < self.deadline;
        (in_time && (free || self.task.condition.take_retry(retry.budget))).then_some((wait, until))
    }

    /// The end of a turn that does not wait for the account's limit.
    pub(super) fn account_limit(&self, until: SystemTime) -> Transition {
        account_limit(until, Instant::now() + left(until) >= self.deadline)
    }

    /// Starts it, once the account's limit lets it. `Err(None)`: nothing more can be promised, or it is let go.
    pub(super) async fn begin(&mut self) -> Result<(Uuid, Claim), Option<Box<End>>> {
        match self.await_account(true).await {
            Ok(()) => self.start().await,
            Err(transition) => {
                Err(transition.map(|transition| Box::new(End::unstarted(self.turn.attempt, transition))))
            }
        }
    }

    /// Waits until the account's limit is lifted, where one holds. `Err`: the turn ends meanwhile, or with `None`, which only
    /// a turn hears that is `queued` in the store, it waits there from now on: the server ends.
    pub(super) async fn await_account(&mut self, queued: bool) -> Result<(), Option<Transition>> {
        let mut waited = false;
        let let_go = self.task.condition.let_go().clone();
        let mut endings = self.task.live.endings();
        while let Some(until) = self.task.condition.account_blocked() {
            let wait = left(until);
            if Instant::now() + wait >= self.deadline {
                return Err(Some(self.account_limit(until)));
            }
            waited = true;
            if !std::mem::replace(&mut self.told_limit, true) {
                self.task.live.push(LiveEvent::ApiRetry {
                    attempt: 1,
                    max_attempts: 1,
                    delay: wait,
                    http_status: Some(429),
                    error: "account_limit".to_owned(),
                    until: Some(until),
                });
            }
            let wait = wait.min(LOOK_AGAIN) + Duration::from_millis(10);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                wanted = wanted(&mut endings, false) => return Err(Some(wanted.transition)),
                () = let_go.cancelled(), if queued => {
                    self.task.live.detach(LET_GO);
                    self.let_go = true;
                    return Err(None);
                }
            }
        }
        let spread = AFTER_RESET.mul_f64(dice());
        if waited && Instant::now() + spread < self.deadline {
            tokio::select! {
                () = tokio::time::sleep(spread) => {}
                wanted = wanted(&mut endings, false) => return Err(Some(wanted.transition)),
            }
        }
        Ok(())
    }
}

/// How long until then.
fn left(until: SystemTime) -> Duration {
    until.duration_since(SystemTime::now()).unwrap_or_default()
}

fn account_limit(until: SystemTime, too_late: bool) -> Transition {
    let message = format!(
        "the account's limit with the Messages API is reached; it is lifted at {}{}",
        humantime::format_rfc3339_seconds(until),
        if too_late { ", after the turn's time" } else { "" }
    );
    Transition::Fail {
        failure: Failure::new(FailureReason::AccountLimit, message),
        partial_text: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reason: Cli) -> TurnEnd {
        TurnEnd {
            outcome: Outcome::Failed { reason, http_status: Some(529), message: "x".to_owned() },
            usage: claude_comms_stream_json::turn::Usage::default(),
            cost_usd: 0.0,
            session_id: String::new(),
            last_assistant_uuid: None,
            num_turns: 1,
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn a_limit_is_said_to_end_after_the_turn_s_time_only_where_it_does() {
        let words = |too_late| match account_limit(SystemTime::UNIX_EPOCH, too_late) {
            Transition::Fail { failure, .. } => failure.message,
            other => panic!("{other:?}"),
        };
        assert!(words(true).ends_with("lifted at 1970-01-01T00:00:00Z, after the turn's time"));
        assert!(words(false).ends_with("lifted at 1970-01-01T00:00:00Z"));
    }

    #[test]
    fn only_what_trying_again_can_mend_is_tried_again_and_nothing_that_was_heard() {
        for reason in [Cli::RateLimited, Cli::ApiOverloaded, Cli::ApiServerError, Cli::ApiUnreachable] {
            assert!(Again::after(&failed(reason), false).is_some(), "{reason:?}");
            assert!(Again::after(&failed(reason), true).is_none(), "{reason:?}");
        }
        for reason in [
            Cli::ApiAuthentication,
            Cli::ApiPermission,
            Cli::ModelNotFound,
            Cli::PromptTooLong,
            Cli::ApiInvalidRequest,
            Cli::NotLoggedIn,
            Cli::MaxTurns,
            Cli::BudgetExceeded,
            Cli::ApiTimeout,
            Cli::ExecutionError,
        ] {
            assert!(Again::after(&failed(reason), false).is_none(), "{reason:?}");
        }
    }
}
