//! The traits: a backend turns a conversation into a running process, a worker is that process. Nothing here knows which
//! program it is.

use std::{fmt::Debug, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use claude_comms_model::{Conversation, ConversationId, InstanceId};
use claude_comms_stream_json::transcript::Fate;
use claude_comms_supervisor::{
    ControlError, ExitInfo, ProcessState, SendError, StartError, StderrFeed, Stop, TurnUpdates, Vitals,
};
use tokio::sync::watch;
use uuid::Uuid;

/// Starts processes for instances and keeps what they remember.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// Its name, as the settings have it.
    fn name(&self) -> &'static str;

    /// Its program's version; empty when it is not known.
    fn version(&self) -> String;

    /// Whether it could take a turn now. Cheap once it was found.
    ///
    /// # Errors
    /// [`NotReady`].
    async fn ready(&self) -> Result<(), NotReady>;

    /// Whether its program is there now; one that was not, or could not be used, is tried again. To be asked now and
    /// then: it looks at the file system.
    async fn is_there(&self) -> bool;

    /// Starts a process for an instance, with what Claude remembers of the conversation.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started so far.
    async fn start(
        &self,
        instance: InstanceId,
        conversation: &Conversation,
        model: Option<&str>,
        take_up: TakeUp,
    ) -> Result<Running, StartError>;

    /// What a process that is started now would be fixed to.
    async fn launch_mark(&self) -> LaunchMark;

    /// Starts a process for whatever new conversation will claim it; nothing is written to it before that.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started so far.
    async fn park(&self, instance: InstanceId) -> Result<Running, StartError>;

    /// Makes a parked process that of a new conversation.
    ///
    /// # Errors
    /// [`Unclaimed`]; nothing is left running.
    ///
    /// # Cancel safety
    /// Dropping the future ends the process.
    async fn claim(&self, parked: Running, conversation: &Conversation) -> Result<Running, Unclaimed>;

    /// Keeps the session's file as the conversation's transcript, if there is one yet.
    fn keep_transcript(&self, instance: InstanceId, conversation: &Conversation, running: &mut Running);

    /// As [`Self::keep_transcript`], of a process that is gone: unless that would lose what is kept already. `sent` are the
    /// messages of its turn. Blocking.
    fn keep_left_transcript(
        &self,
        instance: InstanceId,
        conversation: &Conversation,
        running: &mut Running,
        sent: &[Uuid],
    );

    /// Whether the transcript that is kept holds one of these messages. Blocking.
    fn remembers(&self, conversation: ConversationId, user_uuids: &[Uuid]) -> bool;

    /// What the transcript that is kept says of a message. Blocking.
    fn fate(&self, conversation: ConversationId, user_uuid: Uuid) -> Fate;

    /// Removes what an instance left on disk. Blocking.
    fn remove_instance_dir(&self, instance: InstanceId);
}

/// A running process. When the last handle is dropped it is ended as with [`Stop::Now`].
#[async_trait]
pub trait Worker: Debug + Send + Sync {
    /// Its process id; 0 if that is not known.
    fn process_id(&self) -> u32;

    /// Where it stands, now and whenever that changes. Keeps nothing alive.
    fn state(&self) -> watch::Receiver<ProcessState>;

    /// Its vital signs, for somebody who must not keep it alive; `None` where there is nothing to be asked.
    fn vitals(&self) -> Option<Vitals>;

    /// What it writes to stderr.
    fn stderr(&self) -> StderrFeed;

    /// Tells a parked process its system prompt; returns once it takes messages.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    async fn claim(&self, system_prompt: Option<&str>) -> Result<(), StartError>;

    /// Sends a user message and returns what comes of it. One turn at a time. Each uuid is answered once.
    ///
    /// # Errors
    /// [`SendError`]; the message has then not reached the process.
    async fn send(&self, uuid: Uuid, text: String) -> Result<TurnUpdates, SendError>;

    /// Tells the running turn to stop; its end comes with its updates, and the process stays.
    ///
    /// # Errors
    /// [`ControlError::Exited`].
    async fn interrupt(&self) -> Result<(), ControlError>;

    /// Stops the idle process until it is resumed.
    ///
    /// # Errors
    /// [`ControlError`].
    async fn pause(&self) -> Result<(), ControlError>;

    /// Lets it go on.
    ///
    /// # Errors
    /// [`ControlError::Exited`].
    async fn resume(&self) -> Result<(), ControlError>;

    /// Ends it. Resolves when all of it is gone.
    ///
    /// # Cancel safety
    /// Cancel safe: once begun, the stop goes on by itself.
    async fn stop(&self, how: Stop) -> ExitInfo;
}

/// A process and the Claude session it holds.
#[derive(Debug, Clone)]
pub struct Running {
    /// The process.
    pub process: Arc<dyn Worker>,
    /// Its session.
    pub session_id: Uuid,
    /// Which of its conversation's contexts it was told.
    pub scene_revision: u32,
    /// Set when the conversation's memory could not be resumed: why.
    pub session_reset: Option<String>,
    /// What held when it was started, of one that is still to be claimed.
    pub parked: Option<LaunchMark>,
    /// Where its backend keeps a session, once it was found.
    pub(super) session_file: Option<(Uuid, PathBuf)>,
}

/// All that is fixed when a process starts (its program and that program's version, settings, model): two processes with
/// equal marks are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaunchMark(pub(super) u64);

/// Why a parked process did not become a conversation's.
#[derive(Debug, thiserror::Error)]
pub enum Unclaimed {
    /// It was started with other settings, or from another version of the program.
    #[error("the process was started with other settings than those of now")]
    Outdated,
    /// The conversation has memory or a model that the process was not started with.
    #[error("the conversation needs a process of its own")]
    Unfit,
    /// It did not answer.
    #[error("the parked process did not answer")]
    Failed(#[source] StartError),
}

/// Where a new process takes up the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeUp {
    /// With all that Claude remembers.
    Latest,
    /// From before the last prompt, which a process took with it when it died.
    BeforeLastPrompt,
    /// With nothing: its session has become too long for the model.
    Nothing,
}

/// What is wrong with a backend that cannot take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReadyReason {
    /// The CLI is not there, or does not run.
    NotFound,
    /// It is older than the oldest that is supported.
    TooOld,
}

impl NotReadyReason {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "CLAUDE_NOT_FOUND",
            Self::TooOld => "CLAUDE_TOO_OLD",
        }
    }
}

/// A backend that cannot take turns.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct NotReady {
    /// Why.
    pub reason: NotReadyReason,
    /// What is wrong and how to mend it.
    pub message: String,
}
