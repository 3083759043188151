//! What the server asks of a store. Every call is asynchronous at the edge, so that a networked store fits behind it.

use std::{collections::BTreeMap, path::PathBuf};

use async_trait::async_trait;
use claude_comms_model::{
    Asked, Conversation, ConversationId, Event, EventKind, Instance, InstanceId, LogEvent, ModuleRecord,
    ModuleRef, NewLogEvent, Page, RequestId, ServerId, Timestamp, TokenRecord, Transition, Turn, TurnId,
    Usage,
};
use uuid::Uuid;

use crate::{
    ConversationQuery, ModuleRevisionInfo, RegisterModule, RegisterOutcome, StoreError, TokenOutcome,
    TokenUse, TurnQuery,
};

/// Who this server is. `id` stays with the data directory, `incarnation` grows at each open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerIdentity {
    /// The data directory's server.
    pub id: ServerId,
    /// How often it was opened; 1 for the first.
    pub incarnation: u64,
}

/// The right to write a conversation's turns: refused with [`StoreError::Fenced`] once the epoch has moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The epoch it was claimed with.
    pub epoch: u64,
}

/// A conversation to make.
#[derive(Debug, Clone, PartialEq)]
pub struct NewConversation {
    /// Its id, UUIDv7.
    pub id: ConversationId,
    /// Title; empty for none.
    pub title: String,
    /// System prompt; empty for none.
    pub system_prompt: String,
    /// Model; `None` for the server's default.
    pub model: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The module that asks; `None` for a person.
    pub source_module: Option<ModuleRef>,
    /// The module that Claude speaks for; `None` for Claude alone.
    pub target_module: Option<ModuleRef>,
    /// What its prompts are made of; `None` without modules.
    pub scene: Option<Scene>,
}

/// What a conversation's prompts are made of: text that the store keeps once for all conversations that share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// SHA-256 of `json`, hexadecimal.
    pub digest: String,
    /// The scene.
    pub json: String,
}

/// A conversation's new scene.
#[derive(Debug, Clone, PartialEq)]
pub struct UpgradeConversation {
    /// The conversation.
    pub id: ConversationId,
    /// The `scene_revision` that the caller has seen; another one is [`StoreError::Conflict`].
    pub seen_revision: u32,
    /// The new version of its source.
    pub source_module: Option<ModuleRef>,
    /// The new version of its target.
    pub target_module: Option<ModuleRef>,
    /// The new scene.
    pub scene: Scene,
    /// The new system prompt.
    pub system_prompt: String,
    /// The new model; `None` for the server's default.
    pub model: Option<String>,
}

/// What became of [`Store::upgrade_conversation`].
#[derive(Debug, Clone, PartialEq)]
pub enum UpgradeOutcome {
    /// It is as it was asked for.
    Upgraded(Box<Conversation>),
    /// A turn of it waits or runs: nothing was written.
    Busy,
}

/// Within what a request's id is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestScope {
    /// One conversation.
    Conversation(ConversationId),
    /// What a query from one module to another is scoped to: a number made of both names.
    /// Its turn is known within its conversation too.
    Pair(u128),
}

/// The start of a turn on a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartTurn {
    /// The instance that runs it.
    pub instance_id: InstanceId,
    /// The Claude session it runs in; becomes the conversation's.
    pub session_id: Uuid,
    /// The uuid its prompt has there.
    pub user_uuid: Uuid,
}

/// A turn to accept.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptTurn {
    /// Its id, UUIDv7.
    pub turn_id: TurnId,
    /// Its conversation; must exist, unless it is made with the turn.
    pub conversation_id: ConversationId,
    /// The conversation to make in the same act. Not made when the request is known.
    pub new_conversation: Option<Box<NewConversation>>,
    /// The request.
    pub request_id: RequestId,
    /// Within what it is unique.
    pub scope: RequestScope,
    /// The conversation's `scene_revision` that the message was made from; 0 without a scene. Not looked at when the
    /// conversation is made with the turn.
    pub seen_scene_revision: u32,
    /// SHA-256 of the payload, hexadecimal.
    pub payload_hash: String,
    /// The prompt.
    pub prompt: String,
    /// What was made of it, and what is demanded of the answer.
    pub asked: Option<Box<Asked>>,
    /// Time it may take, microseconds, queue included.
    pub timeout_micros: u64,
    /// The instance that must run it.
    pub target_instance: Option<InstanceId>,
    /// Set when a process is free: acceptance and start are then one commit. While another turn of the conversation runs
    /// the whole is refused with [`StoreError::Conflict`].
    pub start: Option<StartTurn>,
}

/// What became of [`Store::accept_turn`].
#[derive(Debug, Clone, PartialEq)]
pub enum AcceptOutcome {
    /// It is durable.
    Accepted(Box<Accepted>),
    /// The same request was accepted before; this is its turn now.
    Same(Box<Turn>),
    /// The request's id was used with another payload.
    OtherPayload(TurnId),
    /// The conversation has another `scene_revision` than the one seen; nothing was written.
    SceneChanged,
}

/// A durable new turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Its record.
    pub turn: Turn,
    /// `Accepted`, and `Started` if it was started too.
    pub events: Vec<Event>,
    /// Set if it was started.
    pub lease: Option<Lease>,
}

/// A started turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// Its record; `attempt` has grown by one.
    pub turn: Turn,
    /// The `Started` event.
    pub event: Event,
    /// The claim on the conversation.
    pub lease: Lease,
}

/// The end of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishTurn {
    /// The turn.
    pub turn_id: TurnId,
    /// The claim it ran under; `None` for a turn that never started in this incarnation (queued, or left over at boot).
    pub lease: Option<Lease>,
    /// The attempt the caller drove; another one is [`StoreError::Fenced`].
    pub attempt: u32,
    /// `Complete`, `Fail` or `Cancel`.
    pub transition: Transition,
    /// Tokens of the turn alone.
    pub usage: Usage,
    /// Cost of the turn alone, US dollars.
    pub cost_usd: f64,
    /// When the first text arrived.
    pub first_token_time: Option<Timestamp>,
    /// Whether Claude remembers the prompt.
    pub in_context: bool,
    /// The Claude session the turn ended in, if it is known; becomes the conversation's.
    pub session_id: Option<Uuid>,
    /// The last assistant message it left there; becomes the conversation's.
    pub last_assistant_uuid: Option<String>,
}

/// An ended turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Its terminal record.
    pub turn: Turn,
    /// The terminal event.
    pub event: Event,
}

/// What the store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Conversations.
    pub conversations: u64,
    /// Turns.
    pub turns: u64,
    /// Registered modules.
    pub modules: u64,
    /// The schema's version.
    pub schema_version: u32,
}

/// How many records of stopped instances a server keeps.
pub const STOPPED_INSTANCES: usize = 200;

/// Durable records. A mutation's `Ok` means that it is on disk.
///
/// What was asked ([`Turn::asked`]) is large and never changes: it is `None` in the turns that writes give back, but for
/// those of [`Store::accept_turn`] and of [`StoreError::AlreadyTerminal`], and in lists. Reads of one turn and
/// [`Store::unfinished_turns`] have it.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// Who this server is.
    fn server(&self) -> ServerIdentity;

    /// Makes a conversation with epoch 0.
    async fn create_conversation(&self, new: NewConversation) -> Result<Conversation, StoreError>;
    /// One conversation.
    async fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError>;
    /// A page of conversations, newest first.
    async fn conversations(&self, query: ConversationQuery) -> Result<Page<Conversation>, StoreError>;
    /// Removes a conversation, its turns, events, request ids and transcript, and its scene if no other conversation has
    /// it. `false` when there was none.
    /// Refused with [`StoreError::Conflict`] while a turn of it has not ended.
    async fn delete_conversation(&self, id: ConversationId) -> Result<bool, StoreError>;
    /// Gives a conversation without unfinished turns a new scene, system prompt and model. The scene it had goes if no
    /// other conversation has it. [`StoreError::NotFound`], or [`StoreError::Conflict`] when somebody else did.
    async fn upgrade_conversation(&self, upgrade: UpgradeConversation) -> Result<UpgradeOutcome, StoreError>;
    /// A scene's text; `None` when no conversation has it (any more).
    async fn scene(&self, digest: String) -> Result<Option<String>, StoreError>;

    /// Accepts a turn: record, queue entry and request id in one act; with `start` it is RUNNING at once.
    async fn accept_turn(&self, accept: AcceptTurn) -> Result<AcceptOutcome, StoreError>;
    /// QUEUED to RUNNING: claims the conversation (a new owner or incarnation makes a new epoch) and counts the attempt.
    /// [`StoreError::Conflict`] while another turn of the conversation runs, be it one that an earlier run left.
    async fn start_turn(&self, turn_id: TurnId, start: StartTurn) -> Result<Started, StoreError>;
    /// Appends events to a running turn.
    async fn append(
        &self,
        lease: Lease,
        turn_id: TurnId,
        attempt: u32,
        kinds: Vec<EventKind>,
    ) -> Result<Vec<Event>, StoreError>;
    /// RUNNING back to QUEUED, at the head of its conversation's queue, with one event (`Retrying`).
    async fn requeue_turn(
        &self,
        lease: Lease,
        turn_id: TurnId,
        attempt: u32,
        kind: EventKind,
    ) -> Result<(Turn, Event), StoreError>;
    /// Records that a running turn's answer is void and that Claude is asked, in the message `user_uuid`, for one whose
    /// data fits: writes the uuid into the turn and a `TextReset` (`Repair`) event.
    async fn repair_turn(
        &self,
        lease: Lease,
        turn_id: TurnId,
        attempt: u32,
        user_uuid: Uuid,
    ) -> Result<(Turn, Event), StoreError>;
    /// The only door to a terminal state. Counts for the conversation, and for the instance that ran it, if that has a
    /// record.
    async fn finish_turn(&self, finish: FinishTurn) -> Result<Finished, StoreError>;

    /// One turn.
    async fn turn(&self, id: TurnId) -> Result<Option<Turn>, StoreError>;
    /// The turn that a request made within its scope. `None` also without the conversation.
    async fn turn_of_request(
        &self,
        scope: RequestScope,
        request_id: RequestId,
    ) -> Result<Option<Turn>, StoreError>;
    /// A page of turns, by their ids. A token is good for the same filters and order only, with any limit.
    async fn turns(&self, query: TurnQuery) -> Result<Page<Turn>, StoreError>;
    /// A turn's events after a sequence, in order. [`StoreError::NotFound`] without the turn.
    async fn turn_events(&self, id: TurnId, after: u64) -> Result<Vec<Event>, StoreError>;
    /// A conversation's events after a sequence, in order. [`StoreError::NotFound`] without the conversation.
    async fn events(&self, id: ConversationId, after: u64, limit: usize) -> Result<Vec<Event>, StoreError>;
    /// This server's turns that have not ended, in the order of their acceptance.
    async fn unfinished_turns(&self) -> Result<Vec<Turn>, StoreError>;

    /// Writes a pinned instance's record. Of one that is there it changes what the server alone knows: the counters are
    /// those of the turns that ended ([`Store::finish_turn`]), `stopped` stays, `process_generation` and the times never
    /// go back. Of those that stopped the newest [`STOPPED_INSTANCES`] are kept.
    async fn put_instance(&self, instance: Instance) -> Result<(), StoreError>;
    /// This server's instance records.
    async fn instances(&self) -> Result<Vec<Instance>, StoreError>;
    /// Numbers events of this server's instances without gaps and keeps them, in one act. Nobody waits for them: they go
    /// with the next commit of something else, and on their own where nothing else is written for a moment.
    async fn log_instances(&self, events: Vec<NewLogEvent>) -> Result<Vec<LogEvent>, StoreError>;
    /// An instance's log after a sequence, in order. Empty where none is kept.
    async fn instance_log(
        &self,
        id: InstanceId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<LogEvent>, StoreError>;
    /// Removes the logs of these instances. A pinned one's goes by itself, with its record.
    async fn forget_instance_logs(&self, ids: Vec<InstanceId>) -> Result<(), StoreError>;
    /// Removes the logs of this server's instances that have no record, and gives the last sequence of the others: for a
    /// server that starts.
    async fn settle_instance_logs(&self) -> Result<BTreeMap<InstanceId, u64>, StoreError>;

    /// Registers a module, or a new revision of it, in one act: versions are compared inside the write.
    async fn register_module(&self, module: RegisterModule) -> Result<RegisterOutcome, StoreError>;
    /// Takes a module's name out of the registry; its revisions stay readable. `None` when it was not registered.
    async fn unregister_module(&self, name: String) -> Result<Option<ModuleRecord>, StoreError>;
    /// The current revision of every registered module, by name.
    async fn modules(&self) -> Result<Vec<ModuleRecord>, StoreError>;
    /// Revisions of a name, newest first, those of an unregistered one too: at most `limit`, and at most
    /// [`MODULE_REVISIONS`](crate::MODULE_REVISIONS).
    async fn module_revisions(
        &self,
        name: String,
        limit: usize,
    ) -> Result<Vec<ModuleRevisionInfo>, StoreError>;
    /// One revision of a name, by the version's exact text; `None` as `revision` for the last content of it.
    async fn module_revision(
        &self,
        name: String,
        version: String,
        revision: Option<u32>,
    ) -> Result<Option<ModuleRecord>, StoreError>;

    /// Whether it takes writes: one that failed to write takes none until it is opened anew. Writes nothing.
    async fn ready(&self) -> Result<(), StoreError>;
    /// Writes what nobody reads, and waits until it is on disk.
    async fn probe_write(&self) -> Result<(), StoreError>;

    /// Keeps a new token, unless one of its name is still good or [`TOKENS`](crate::TOKENS) are.
    async fn create_token(&self, token: TokenRecord) -> Result<TokenOutcome, StoreError>;
    /// Ends a token now; of one that was revoked before nothing changes. `None` without it.
    async fn revoke_token(&self, name: String) -> Result<Option<TokenRecord>, StoreError>;
    /// Every token that is remembered, by name.
    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError>;
    /// Writes down when tokens were used; what does not fit a token that is there is left out.
    async fn use_tokens(&self, uses: Vec<TokenUse>) -> Result<(), StoreError>;

    /// What the store holds.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Where a conversation's transcript is kept (0600; it may not exist yet).
    fn transcript(&self, id: ConversationId) -> PathBuf;
    /// Makes the CLI's session file the conversation's transcript: a hard link, so that what the CLI appends is kept
    /// without a copy; a copy where the file system has no links. Replaces an older one.
    fn keep_transcript(&self, id: ConversationId, session_file: &std::path::Path) -> std::io::Result<()>;
    /// Ends the store's own thread after all that was asked is on disk. Later calls are [`StoreError::Unavailable`].
    async fn close(&self);
}
