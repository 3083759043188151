//! Processes: one run of the Claude Code CLI.

use crate::IllegalTransition;

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProcessState {
    /// Spawned; `initialize` is not answered yet.
    Starting,
    /// Waits for a turn.
    Idle,
    /// Runs a turn.
    Busy,
    /// Was asked to give up its turn; its result is awaited.
    Interrupting,
    /// Idle and frozen.
    Paused,
    /// Its input is closed or its tree is being killed.
    Stopping,
    /// Gone, with its whole tree.
    Exited,
}

/// What happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProcessEvent {
    /// `initialize` was answered.
    Ready,
    /// A prompt was written.
    Prompt,
    /// An interrupt was written.
    Interrupt,
    /// The result of its turn arrived.
    Result,
    /// It was frozen.
    Pause,
    /// It was thawed.
    Resume,
    /// Its end was asked for.
    Stop,
    /// It is gone.
    Exit,
}

impl ProcessEvent {
    /// Every event there is.
    pub const ALL: [Self; 8] = [
        Self::Ready,
        Self::Prompt,
        Self::Interrupt,
        Self::Result,
        Self::Pause,
        Self::Resume,
        Self::Stop,
        Self::Exit,
    ];

    /// The event's name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Prompt => "prompt",
            Self::Interrupt => "interrupt",
            Self::Result => "result",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Exit => "exit",
        }
    }
}

impl ProcessState {
    /// The state's name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Interrupting => "interrupting",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Exited => "exited",
        }
    }

    /// The state after an event.
    ///
    /// # Errors
    /// [`IllegalTransition`] where the machine has no such way; `Exited` has none at all.
    pub fn next(self, event: ProcessEvent) -> Result<Self, IllegalTransition> {
        use ProcessEvent as E;
        match (self, event) {
            (Self::Exited, _) => Err(self.refuses(event)),
            (_, E::Exit) => Ok(Self::Exited),
            (_, E::Stop) => Ok(Self::Stopping),
            (Self::Starting, E::Ready) => Ok(Self::Idle),
            (Self::Idle, E::Prompt) => Ok(Self::Busy),
            (Self::Busy, E::Interrupt) => Ok(Self::Interrupting),
            // An interrupt may cross the result on the pipe: idle again, nothing to await.
            (Self::Idle | Self::Interrupting, E::Interrupt) => Ok(self),
            (Self::Busy | Self::Interrupting, E::Result) => Ok(Self::Idle),
            (Self::Idle, E::Pause) => Ok(Self::Paused),
            (Self::Paused, E::Resume) => Ok(Self::Idle),
            // A turn that finishes while its process is being stopped is still read.
            (Self::Stopping, E::Result) => Ok(Self::Stopping),
            _ => Err(self.refuses(event)),
        }
    }

    fn refuses(self, event: ProcessEvent) -> IllegalTransition {
        IllegalTransition { machine: "process", state: self.as_str(), event: event.as_str() }
    }
}
