//! Requests for a turn's end, from whoever may ask for one. The turn's task carries them out; nobody else ends a turn.

use claude_comms_model::{CancelReason, Failure, FailureReason, Transition};
use tokio::sync::watch as channel;

use super::LiveTurn;

/// How a turn shall end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// CANCELLED: its process is interrupted and stays.
    Cancel(Failure<CancelReason>),
    /// FAILED: its process is interrupted and stays.
    Fail(Failure<FailureReason>),
    /// FAILED: its process is killed, with all that it has started.
    Kill(Failure<FailureReason>),
}

impl Ending {
    /// The step to the terminal record. What was streamed is not in it yet.
    fn transition(&self) -> Transition {
        match self.clone() {
            Self::Cancel(failure) => Transition::Cancel { failure, partial_text: String::new() },
            Self::Fail(failure) | Self::Kill(failure) => {
                Transition::Fail { failure, partial_text: String::new() }
            }
        }
    }
}

/// What was asked for so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// The end that was asked for first: it stays.
    pub transition: Transition,
    /// Whether the process must go at once, whoever asked for that.
    pub kill: bool,
}

/// Where requests arrive.
pub(crate) type Endings = channel::Receiver<Option<Wanted>>;

impl LiveTurn {
    /// Asks for the turn's end. The first reason stays; a process that is to be killed is, also when the turn was to end
    /// gently before.
    pub fn request_end(&self, ending: Ending) {
        let kill = matches!(ending, Ending::Kill(_));
        self.endings.send_if_modified(|wanted| match wanted {
            None => {
                *wanted = Some(Wanted { transition: ending.transition(), kill });
                true
            }
            Some(wanted) => {
                let worse = kill && !wanted.kill;
                wanted.kill |= kill;
                worse
            }
        });
    }

    /// As [`Self::request_end`] with [`Ending::Cancel`].
    pub fn request_cancel(&self, why: Failure<CancelReason>) {
        self.request_end(Ending::Cancel(why));
    }

    pub(crate) fn endings(&self) -> Endings {
        self.endings.subscribe()
    }
}

/// Waits until somebody asks for the turn's end; one that was `asked` for already, until its process must go.
pub(crate) async fn wanted(endings: &mut Endings, asked: bool) -> Wanted {
    let seen = endings.wait_for(|wanted| wanted.as_ref().is_some_and(|wanted| !asked || wanted.kill)).await;
    match seen.ok().and_then(|wanted| wanted.clone()) {
        Some(wanted) => wanted,
        // The live turn is held by the turn's task, so its sender cannot be gone.
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use claude_comms_model::{ConversationId, TurnId};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays_and_a_kill_is_heard_whenever_it_comes() {
        let live = LiveTurn::new(TurnId(Uuid::nil()), ConversationId(Uuid::nil()));
        let mut endings = live.endings();
        let gentle = Failure::new(CancelReason::CancelRequested, "asked");
        live.request_cancel(gentle.clone());
        let first = wanted(&mut endings, false).await;
        assert_eq!(first.transition, Transition::Cancel { failure: gentle, partial_text: String::new() });
        assert!(!first.kill);
        live.request_end(Ending::Fail(Failure::new(FailureReason::Internal, "later")));
        live.request_end(Ending::Kill(Failure::new(FailureReason::Internal, "harder")));
        let second = wanted(&mut endings, true).await;
        assert_eq!((second.transition, second.kill), (first.transition, true));
    }
}
