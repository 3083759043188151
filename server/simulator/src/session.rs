//! A simulated CLI process between its start and its end: what waits to be
//! answered, what was said, and the loop that takes turns. Requests are
//! answered in `requests`, turns are played by `player`; this file owns the
//! state both share and when to stop.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Write};

use crate::flags::Flags;
use crate::history::History;
use crate::ids::Ids;
use crate::inbox::{Event, Inbox, Wait};
use crate::ledger::{Ledger, Tokens};
use crate::opening::{Opened, Surroundings};
use crate::outbox::{Outbox, WriteMode};
use crate::player::Player;
use crate::scenario::{Initialize, Selection, Status};
use crate::transcript::Transcript;

/// The model if none is named.
const DEFAULT_MODEL: &str = "claude-simulated";

/// One simulated process.
pub(crate) struct Session<'s, W> {
    pub(crate) flags: Flags,
    pub(crate) surroundings: Surroundings,
    pub(crate) session_id: String,
    pub(crate) model: String,
    pub(crate) permission_mode: String,
    pub(crate) system_prompt: Option<String>,
    pub(crate) initialized: bool,
    pub(crate) behaviour: Behaviour,
    pub(crate) selection: Selection<'s>,
    pub(crate) transcript: Transcript,
    pub(crate) history: History,
    pub(crate) ids: Ids,
    pub(crate) ledger: Ledger,
    pub(crate) out: Outbox<W>,
    pub(crate) stderr: Box<dyn Write>,
    pub(crate) queue: VecDeque<UserMessage>,
    pub(crate) seen: HashSet<String>,
    /// A turn is being played.
    pub(crate) running: bool,
    /// The last result was an error: decides the exit code at the end of stdin.
    pub(crate) failed: bool,
    /// Turns this process has begun.
    pub(crate) turns: usize,
    inbox: Inbox,
    eof: bool,
}

impl<W> std::fmt::Debug for Session<'_, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

/// How the process behaves apart from its turns.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    pub(crate) initialize: Initialize,
    pub(crate) status: Status,
    pub(crate) ignore_eof: bool,
    pub(crate) write: WriteMode,
    /// Memory that is held for nothing.
    pub(crate) ballast: Vec<Vec<u8>>,
}

/// A user message that waits for its turn.
#[derive(Debug)]
pub(crate) struct UserMessage {
    pub(crate) uuid: String,
    /// The sender gave the uuid: `command_lifecycle` is told.
    pub(crate) tracked: bool,
    pub(crate) content: serde_json::Value,
    pub(crate) text: String,
    /// False for context without an answer (`shouldQuery:false`).
    pub(crate) query: bool,
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Exit(i32),
    /// By SIGKILL.
    Kill,
}

/// Why a turn cannot go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// An `interrupt` request, already answered.
    Interrupted,
    /// A message of priority `now` has come.
    Superseded,
    /// SIGINT.
    Signalled,
    /// The process ends at once.
    End(Ending),
}

impl From<io::Error> for Halt {
    /// Nobody reads our output, or the disk refuses the session file: the real CLI dies too.
    fn from(_: io::Error) -> Self {
        Self::End(Ending::Exit(1))
    }
}

impl<'s, W: Write> Session<'s, W> {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, by the process, and by the tests' one builder"
    )]
    pub(crate) fn new(
        flags: Flags,
        surroundings: Surroundings,
        system_prompt: Option<String>,
        opened: Opened,
        behaviour: Behaviour,
        selection: Selection<'s>,
        inbox: Inbox,
        out: Outbox<W>,
        stderr: Box<dyn Write>,
    ) -> Self {
        let model = flags.model.clone().unwrap_or_else(|| DEFAULT_MODEL.to_owned());
        let permission_mode = flags.permission_mode.clone().unwrap_or_else(|| "default".to_owned());
        let system_prompt = match (system_prompt, &flags.append_system_prompt) {
            (Some(prompt), Some(more)) => Some(format!("{prompt}\n{more}")),
            (prompt, more) => prompt.or_else(|| more.clone()),
        };
        Self {
            flags,
            surroundings,
            session_id: opened.session_id,
            model,
            permission_mode,
            system_prompt,
            initialized: false,
            behaviour,
            selection,
            transcript: opened.transcript,
            history: opened.history,
            ids: Ids::new(),
            ledger: Ledger::default(),
            out,
            stderr,
            queue: VecDeque::new(),
            seen: opened.seen,
            running: false,
            failed: false,
            turns: 0,
            inbox,
            eof: false,
        }
    }

    /// Takes requests and turns until the process is to end.
    pub(crate) fn run(&mut self) -> Ending {
        loop {
            match self.step() {
                Ok(()) => {}
                Err(halt) => {
                    // Lines already printed by a real CLI are in the pipe when it dies.
                    let flushed = self.out.flush();
                    match halt {
                        Halt::End(ending) => return ending,
                        Halt::Signalled => return Ending::Exit(0),
                        // Halts of a turn end in the turn; between turns there is nothing to stop.
                        Halt::Interrupted | Halt::Superseded => {}
                    }
                    if flushed.is_err() {
                        return Ending::Exit(1);
                    }
                }
            }
        }
    }

    fn step(&mut self) -> Result<(), Halt> {
        if !self.queue.is_empty() {
            // All that waited while a turn ran becomes one call and one result, as in the real CLI.
            let waiting = std::mem::take(&mut self.queue);
            let (batch, context): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|message| message.query);
            for message in &context {
                self.take_context(message)?;
            }
            return if batch.is_empty() { Ok(()) } else { Player::play(self, batch) };
        }
        self.out.flush()?;
        if self.eof && !self.behaviour.ignore_eof {
            return Err(Halt::End(Ending::Exit(i32::from(self.failed))));
        }
        match self.inbox.next(Wait::Forever) {
            Some(event) => self.take(event),
            None => Ok(()),
        }
    }

    /// Deals with what comes from outside for as long as `wait` says.
    ///
    /// # Errors
    /// [`Halt`] if it ends the turn or the process.
    pub(crate) fn attend(&mut self, wait: Wait) -> Result<(), Halt> {
        if !matches!(wait, Wait::Not) {
            self.out.flush()?;
        }
        while let Some(event) = self.inbox.next(wait) {
            self.take(event)?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event) -> Result<(), Halt> {
        match event {
            Event::Line(line) => self.take_line(&line),
            Event::Eof => {
                self.eof = true;
                Ok(())
            }
            Event::Interrupt => Err(Halt::Signalled),
        }
    }

    /// Notes words that want no answer (`shouldQuery:false`): a result without a call.
    fn take_context(&mut self, message: &UserMessage) -> Result<(), Halt> {
        self.record_user(&message.uuid, &message.content)?;
        self.history.chars += message.text.chars().count();
        self.context_result(message)?;
        Ok(())
    }

    /// Writes a user line into the session file.
    ///
    /// # Errors
    /// That of the file.
    pub(crate) fn record_user(&mut self, uuid: &str, content: &serde_json::Value) -> io::Result<()> {
        let message = serde_json::json!({ "role": "user", "content": content });
        self.transcript.append("user", uuid, &message, &serde_json::Value::Null)
    }
}

/// Tells on stdout that the session cannot be opened, as the real CLI does beside stderr.
///
/// # Errors
/// That of the write.
pub(crate) fn refuse<W: Write>(out: &mut Outbox<W>, error: &str) -> io::Result<()> {
    let mut ids = Ids::new();
    let (session_id, uuid) = (ids.uuid(), ids.uuid());
    out.object(|o| {
        o.field("type", "result").field("subtype", "error_during_execution");
        o.field("duration_ms", &0)
            .field("duration_api_ms", &0)
            .field("is_error", &true)
            .field("num_turns", &0);
        o.field("stop_reason", &()).field("session_id", &session_id).field("total_cost_usd", &0);
        o.field("usage", &Tokens::default().usage()).field("modelUsage", &serde_json::json!({}));
        o.field("permission_denials", &[(); 0]).field("uuid", &uuid).field("errors", &[error]);
    })?;
    out.flush()
}
