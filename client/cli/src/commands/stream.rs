//! A turn as it comes: tokens on standard output, all else on standard error; Ctrl-C, `--timeout` and the exit code.

use std::{future::Future, pin::Pin, time::Duration};

use claude_comms_client::{Error, TurnEvent, TurnStream, TurnUpdate, v1};
use tokio::sync::watch;

use crate::{
    args::{Format, Prompt},
    context::{Context, expired, timed_out},
    exit::{Exit, Failure},
    output::{Ui, cost, duration, printable, short_id, span, state, tokens},
    suggest::command,
};

type Cancelling = Pin<Box<dyn Future<Output = Result<v1::Turn, Error>>>>;

/// The turn's own limit as the contract wants it.
pub(super) fn turn_timeout(prompt: &Prompt) -> Result<Option<prost_types::Duration>, Failure> {
    let limit = prompt.turn_timeout.map(prost_types::Duration::try_from).transpose();
    limit.map_err(|_| Failure::new(Exit::Usage, "--turn-timeout is too long"))
}

/// How to see a turn that this command has left.
pub(super) fn goes_on(turn_id: &str) -> String {
    format!("the turn goes on; see it with: {}", command(&format!("wait-turn --id {turn_id}")))
}

/// Sends in the background and prints the accepted turn.
pub(super) async fn submit(
    context: &mut Context<'_>,
    request: v1::SubmitMessageRequest,
) -> Result<Exit, Failure> {
    let turn = context.patience.wait(context.client.submit_message(request)).await?;
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
    let mut stream = context.patience.wait(opening).await?;
    let turn_id = stream.turn_id().to_owned();
    let limit = context.patience.limit();
    let mut screen = Screen::new(context.ui);
    let mut link = Link::new(&stream, context.client.reconnect_timeout());
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
                    return if interrupted { Ok(Exit::Interrupted) } else { judge(context.ui, &turn) };
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
    fn new(stream: &TurnStream, patience: Duration) -> Self {
        Self { connected: stream.connection(), lost: false, patience }
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

/// What the user has seen so far.
struct Screen<'a> {
    ui: &'a Ui,
    /// Text that is held back because standard output cannot be taken back.
    held: String,
    /// Text that may yet be reset was shown or is held.
    has_text: bool,
    /// The cursor is within a line.
    within_line: bool,
    queued: bool,
}

impl<'a> Screen<'a> {
    fn new(ui: &'a Ui) -> Self {
        Self { ui, held: String::new(), has_text: false, within_line: false, queued: false }
    }

    /// Shows an event; returns the terminal record after the last one.
    fn show(&mut self, event: TurnEvent) -> Result<Option<v1::Turn>, Failure> {
        if self.ui.format != Format::Table {
            let ended = event.update.terminal().cloned();
            self.ui.event(&v1::TurnEvent::from(event))?;
            return Ok(ended);
        }
        match event.update {
            TurnUpdate::Text { text, .. } => self.text(&text)?,
            TurnUpdate::Reset { reason } => self.reset(&reason),
            TurnUpdate::Queued { position } => {
                self.queued = true;
                self.note(&match position {
                    0 => "waiting for a process".to_owned(),
                    1 => "waiting; 1 turn is before this one".to_owned(),
                    n => format!("waiting; {n} turns are before this one"),
                });
            }
            TurnUpdate::Started { attempt, .. } if attempt > 1 => {
                self.note(&format!("started again, try {attempt}"))
            }
            TurnUpdate::Started { .. } if self.queued => self.note("started"),
            TurnUpdate::Retrying(retrying) => self.note(&retry(&retrying)),
            TurnUpdate::SessionReset { reason } => {
                self.note(&format!("Claude's memory of this conversation was lost: {}", printable(&reason)));
            }
            TurnUpdate::ToolCall(call) => self.note(&format!("calls {}", printable(&call.name))),
            TurnUpdate::ToolResult(result) if result.is_error => self.note("the tool reported an error"),
            TurnUpdate::Completed(turn) => {
                if !self.held.is_empty() {
                    let held = std::mem::take(&mut self.held);
                    self.ui.write(&held)?;
                    self.within_line = !held.ends_with('\n');
                }
                if self.within_line {
                    self.ui.write("\n")?;
                    self.within_line = false;
                }
                self.footer(&turn);
                return Ok(Some(*turn));
            }
            TurnUpdate::Failed(turn) | TurnUpdate::Cancelled(turn) => {
                self.end_line();
                self.footer(&turn);
                return Ok(Some(*turn));
            }
            _ => {}
        }
        Ok(None)
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.has_text = true;
        if !self.ui.live {
            self.held.push_str(text);
            return Ok(());
        }
        self.within_line = !text.ends_with('\n');
        self.ui.write(&printable(text))
    }

    fn reset(&mut self, reason: &str) {
        self.held.clear();
        if std::mem::take(&mut self.has_text) {
            self.note(match reason {
                "tool_use" => "(that was not the answer yet)",
                "replaced" => "(the answer is another one)",
                _ => "(the answer begins again)",
            });
        }
    }

    fn note(&mut self, text: &str) {
        if !self.ui.quiet {
            self.end_line();
            self.ui.note(text);
        }
    }

    /// Puts the cursor of a terminal at the start of a line.
    fn end_line(&mut self) {
        if self.within_line {
            // The text itself was written; a terminal that is gone shows at the next write.
            let _ = self.ui.write("\n");
            self.within_line = false;
        }
    }

    fn footer(&self, turn: &v1::Turn) {
        let mut parts = vec![format!("turn {}", short_id(&turn.id))];
        if turn.state() != v1::TurnState::Completed {
            parts.push(state(turn.state().as_str_name()).to_owned());
        }
        parts.extend([tokens(turn.usage.as_ref()), cost(turn.cost_usd)]);
        parts.extend(span(turn.create_time.as_ref(), turn.end_time.as_ref()).map(duration));
        parts.retain(|part| part != "-");
        self.ui.note(&parts.join(" · "));
    }
}

fn retry(retrying: &v1::TurnRetrying) -> String {
    let who = match retrying.scope() {
        v1::RetryScope::Process => "the process ended before it answered",
        _ => "the API call failed",
    };
    let status = if retrying.http_status == 0 { String::new() } else { format!(" {}", retrying.http_status) };
    let delay =
        retrying.delay.and_then(|delay| std::time::Duration::try_from(delay).ok()).unwrap_or_default();
    format!(
        "{who} ({}{status}); retry {} of {} in {}",
        printable(&retrying.reason),
        retrying.attempt,
        retrying.max_attempts,
        duration(delay)
    )
}
