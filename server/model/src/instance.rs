//! Instances: a Claude session under a stable id, with at most one process at a time.

use serde::{Deserialize, Serialize};

use crate::{ConversationId, IllegalTransition, InstanceId, ServerId, Timestamp, Usage};

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Its process is being started.
    Starting,
    /// Its process waits for a turn.
    Idle,
    /// Its process runs a turn.
    Busy,
    /// Somebody paused it: its process, if it has one, is stopped with SIGSTOP and takes no turn.
    Paused,
    /// It has no process; the next turn starts one that resumes the session.
    Dormant,
    /// It was asked to stop and its process is ending.
    Stopping,
    /// It has ended for good.
    Stopped,
}

/// What happens to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstanceEvent {
    /// A process is being started for it.
    Start,
    /// Its process is ready.
    Ready,
    /// Its process could not be started.
    StartFailed,
    /// A turn is given to it.
    Lease,
    /// The turn ended and the process lives.
    Return,
    /// Its process is gone.
    ProcessGone,
    /// Somebody asked it to pause, and no turn runs.
    Pause,
    /// It goes on after a pause, with its process.
    Resume,
    /// It goes on after a pause, without a process.
    ResumeDormant,
    /// Somebody asked for its end.
    Stop,
    /// Its end is complete: no process is left.
    StopDone,
}

impl InstanceState {
    /// Every state there is.
    pub const ALL: [Self; 7] =
        [Self::Starting, Self::Idle, Self::Busy, Self::Paused, Self::Dormant, Self::Stopping, Self::Stopped];

    /// The name users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
            Self::Idle => "IDLE",
            Self::Busy => "BUSY",
            Self::Paused => "PAUSED",
            Self::Dormant => "DORMANT",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
        }
    }

    /// Whether it has, or is getting, a process. A paused one may have one.
    pub fn has_process(self) -> bool {
        matches!(self, Self::Starting | Self::Idle | Self::Busy | Self::Paused | Self::Stopping)
    }

    /// The state after an event.
    ///
    /// # Errors
    /// [`IllegalTransition`] where the machine has no such way; `Stopped` has none at all.
    pub fn next(self, event: InstanceEvent) -> Result<Self, IllegalTransition> {
        use InstanceEvent as E;
        match (self, event) {
            (Self::Dormant, E::Start) => Ok(Self::Starting),
            (Self::Starting, E::Ready) => Ok(Self::Idle),
            (Self::Starting, E::StartFailed | E::ProcessGone) => Ok(Self::Dormant),
            (Self::Idle, E::Lease) => Ok(Self::Busy),
            (Self::Busy, E::Return) => Ok(Self::Idle),
            (Self::Idle | Self::Busy, E::ProcessGone) => Ok(Self::Dormant),
            (Self::Idle | Self::Dormant | Self::Paused, E::Pause) => Ok(Self::Paused),
            // A pause outlives the process: it says that no turn shall run, not that a process is there.
            (Self::Paused, E::ProcessGone) => Ok(Self::Paused),
            (Self::Paused, E::Resume) => Ok(Self::Idle),
            (Self::Paused, E::ResumeDormant) => Ok(Self::Dormant),
            (Self::Starting | Self::Idle | Self::Busy | Self::Paused | Self::Dormant, E::Stop) => {
                Ok(Self::Stopping)
            }
            // While it stops, what its turn and its process still do is expected and changes nothing.
            (Self::Stopping, E::Return | E::ProcessGone | E::Ready | E::StartFailed | E::Stop) => {
                Ok(Self::Stopping)
            }
            (Self::Stopping, E::StopDone) => Ok(Self::Stopped),
            _ => Err(IllegalTransition { machine: "instance", state: self.as_str(), event: event.as_str() }),
        }
    }
}

impl InstanceEvent {
    /// Every event there is.
    pub const ALL: [Self; 11] = [
        Self::Start,
        Self::Ready,
        Self::StartFailed,
        Self::Lease,
        Self::Return,
        Self::ProcessGone,
        Self::Pause,
        Self::Resume,
        Self::ResumeDormant,
        Self::Stop,
        Self::StopDone,
    ];

    /// The event's name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Ready => "ready",
            Self::StartFailed => "start failed",
            Self::Lease => "lease",
            Self::Return => "return",
            Self::ProcessGone => "process gone",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::ResumeDormant => "resume without a process",
            Self::Stop => "stop",
            Self::StopDone => "stop done",
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceExit {
    /// Exit code; 128 plus the signal's number where a signal ended it; `None` where it was never learnt.
    pub code: Option<i32>,
    /// Why, in the server's words.
    pub reason: String,
    /// The end of its standard error.
    pub stderr: String,
    /// When the server saw it end.
    pub time: Timestamp,
}

/// A pinned instance's durable record, or the memory of any other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its name; empty for none.
    #[serde(default)]
    pub name: String,
    /// The backend's name.
    pub backend: String,
    /// The model asked for.
    #[serde(default)]
    pub model: Option<String>,
    /// The conversation it serves.
    pub conversation_id: ConversationId,
    /// Started by a user: never reclaimed, survives a restart as dormant.
    pub pinned: bool,
    /// Whether it has ended for good.
    #[serde(default)]
    pub stopped: bool,
    /// The server that holds it.
    pub server_id: ServerId,
    /// How many processes it has had.
    #[serde(default)]
    pub process_generation: u32,
    /// Turns that ended on it.
    #[serde(default)]
    pub turn_count: u32,
    /// Tokens of those.
    #[serde(default)]
    pub usage: Usage,
    /// Cost of those, US dollars.
    #[serde(default)]
    pub cost_usd: f64,
    /// When it was made.
    pub create_time: Timestamp,
    /// When a turn last started or ended on it.
    pub last_active_time: Timestamp,
    /// How its last process ended.
    #[serde(default)]
    pub exit: Option<InstanceExit>,
}
