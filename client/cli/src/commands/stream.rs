//! A turn as it comes: tokens on standard output, all else on standard error; Ctrl-C, `--timeout` and the exit code.

pub(super) mod conversation;
mod place;
mod screen;

use std::{future::Future, pin::Pin, time::Duration};

use claude_comms_client::{Error, TurnStream, v1};
use tokio::sync::watch;

use crate::{
    args::Sending,
    context::{Context, expired, timed_out},
    exit::{Exit, Failure},
    output::{Ui, short_id},
    suggest::command,
};

use screen::Screen;
pub(super) use screen::{compacted, retry};

type Cancelling = Pin<Box<dyn Future<Output = Result<v1::Turn, Error>>>>;

/// How a turn is sent, as requests want it.
pub(super) struct Sent {
    /// Empty lets the client make one.
    pub(super) request_id: String,
    /// The turn's own limit.
    pub(super) timeout: Option<prost_types::Duration>,
}

/// Reads how a turn is sent.
pub(super) fn sent(sending: &Sending) -> Result<Sent, Failure> {
    let timeout = sending.turn_timeout.map(prost_types::Duration::try_from).transpose();
    let timeout = timeout.map_err(|_| Failure::new(Exit::Usage, "--turn-timeout is too long"))?;
    Ok(Sent { request_id: sending.request_id.map(|id| id.to_string()).unwrap_or_default(), timeout })
}

/// What of a turn goes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// The answer as it comes; events where the format is not the table.
    Answer,
    /// The data alone, once it is there. Nothing is said of how it came.
    Data,
}

/// How a turn that was followed has ended.
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) turn: v1::Turn,
}

/// How to see a turn that this command has left.
pub(super) fn goes_on(turn_id: &str) -> String {
    format!("the turn goes on; see it with: {}", command(&format!("wait-turn --id {turn_id}")))
}

/// Sends in the background and prints the accepted turn.
pub(super) async fn submit(
    context: &mut Context<'_>,
    submitting: impl Future<Output = Result<v1::Turn, Error>>,
) -> Result<Exit, Failure> {
    let turn = context.patience.wait(submitting).await?;
    context.ui.resource(&turn)?;
    let wait = command(&format!("wait-turn --id {}", short_id(&turn.id)));
    context.ui.note(&format!("wait for it with: {wait}"));
    Ok(Exit::Done)
}

/// Shows a turn to its end. The first Ctrl-C cancels it, the second leaves.
pub(crate) async fn follow(
    context: &mut Context<'_>,
    opening: impl Future<Output = Result<TurnStream, Error>>,
) -> Result<Exit, Failure> {
    Ok(follow_as(context, opening, Show::Answer).await?.exit)
}

/// As [`follow`], and says what the turn came to.
pub(super) async fn follow_as(
    context: &mut Context<'_>,
    opening: impl Future<Output = Result<TurnStream, Error>>,
    show: Show,
) -> Result<Ended, Failure> {
    let mut stream = context.patience.wait(opening).await?;
    let turn_id = stream.turn_id().to_owned();
    let limit = context.patience.limit();
    let mut screen = Screen::new(context.ui, show);
    let mut link = Link::new(stream.connection(), context.client.reconnect_timeout());
    let mut interrupted = false;
    let mut cancelling: Option<Cancelling> = None;
    loop {
        tokio::select! {
            event = stream.next() => {
                let event = event.ok_or_else(|| Error::Protocol("the stream ended before the turn".into()))?;
                let event = event.inspect_err(|_| screen.end_line())?;
                // An event that came with the new connection comes after the word about it.
                link.tell(&mut screen);
                let ended = event.update.terminal().is_some();
                let shown = screen.show(event).map_err(|failure| match failure.exit {
                    // The reader of a whole answer may have had enough; a turn that still runs is worth a word.
                    Exit::Done if !ended => unread(&turn_id),
                    _ => failure,
                });
                if let Some(turn) = shown? {
                    let exit = if interrupted { Exit::Interrupted } else { judge(context.ui, &turn)? };
                    if show == Show::Data && exit == Exit::Failed {
                        let look = command(&format!("show-turn --id {}", short_id(&turn.id)));
                        context.ui.note(&format!("what it said: {look}"));
                    }
                    return Ok(Ended { exit, turn });
                }
            }
            () = link.changed() => link.tell(&mut screen),
            () = context.patience.interrupted() => {
                screen.end_line();
                if interrupted {
                    return Err(Failure::new(Exit::Interrupted, "").hint(goes_on(&turn_id)));
                }
                interrupted = true;
                context.ui.note("cancelling the turn; Ctrl-C again leaves it");
                let (client, id) = (context.client.clone(), turn_id.clone());
                cancelling = Some(Box::pin(async move { client.cancel_turn(id).await }));
            }
            result = pending(cancelling.as_mut()), if cancelling.is_some() => {
                cancelling = None;
                // A turn that ended meanwhile says so in the stream.
                if let Err(error) = result && !matches!(error, Error::FailedPrecondition(_)) {
                    let failure = Failure::from(error).hint(goes_on(&turn_id));
                    return Err(Failure { exit: Exit::Interrupted, ..failure });
                }
            }
            () = expired(limit) => {
                screen.end_line();
                return Err(timed_out(limit).hint(goes_on(&turn_id)));
            }
        }
    }
}

/// The end of a command whose reader left before the turn ended.
fn unread(turn_id: &str) -> Failure {
    Failure::new(Exit::Failed, "nobody reads standard output any more").hint(goes_on(turn_id))
}

async fn pending<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// The exit code of a turn that has ended; says on standard error why there is no answer.
pub(super) fn judge(ui: &Ui, turn: &v1::Turn) -> Result<Exit, Failure> {
    if turn.state() == v1::TurnState::Completed {
        return Ok(Exit::Done);
    }
    let failure = turn.failure.clone().unwrap_or_default();
    ui.error(&format!("{}: {}", failure.reason, failure.message));
    Ok(Exit::Failed)
}

/// What the user knows of the connection.
struct Link {
    connected: watch::Receiver<bool>,
    lost: bool,
    patience: Duration,
}

impl Link {
    fn new(connected: watch::Receiver<bool>, patience: Duration) -> Self {
        Self { connected, lost: false, patience }
    }

    async fn changed(&mut self) {
        // A stream that is gone has no news.
        if self.connected.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Says what has changed since it was last said.
    fn tell(&mut self, screen: &mut Screen<'_>) {
        let lost = !*self.connected.borrow_and_update();
        if std::mem::replace(&mut self.lost, lost) == lost {
            return;
        }
        screen.note(&if lost {
            format!("connection to the server lost; trying again for {} s", self.patience.as_secs())
        } else {
            "connected again".to_owned()
        });
    }
}
