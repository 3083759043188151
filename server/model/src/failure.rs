//! Why turns end without an answer. The names are stable: clients act on them, docs/troubleshooting.md explains them.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable UPPER_SNAKE name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

reasons!(
    /// Why a turn FAILED.
    FailureReason {
        /// The Messages API refused the key or token (401).
        ApiAuthentication = "API_AUTHENTICATION",
        /// The key may not do this (403).
        ApiPermission = "API_PERMISSION",
        /// The model does not exist or may not be used (404).
        ModelNotFound = "MODEL_NOT_FOUND",
        /// The account's rate limit (429), after the backend's own retries.
        RateLimited = "RATE_LIMITED",
        /// The account's limit is reached, and is lifted too late for the turn.
        AccountLimit = "ACCOUNT_LIMIT",
        /// The Messages API is overloaded (529), after the backend's own retries.
        ApiOverloaded = "API_OVERLOADED",
        /// The Messages API failed (5xx), after the backend's own retries.
        ApiServerError = "API_SERVER_ERROR",
        /// The conversation is longer than the model's context.
        PromptTooLong = "PROMPT_TOO_LONG",
        /// The Messages API refused the request (other 4xx).
        ApiInvalidRequest = "API_INVALID_REQUEST",
        /// The Messages API could not be reached or cut the connection.
        ApiUnreachable = "API_UNREACHABLE",
        /// The Messages API did not answer in time.
        ApiTimeout = "API_TIMEOUT",
        /// The backend has neither key nor login.
        NotLoggedIn = "NOT_LOGGED_IN",
        /// The tool loop reached its limit.
        MaxTurns = "MAX_TURNS",
        /// The budget is spent.
        BudgetExceeded = "BUDGET_EXCEEDED",
        /// The backend reported an error of its own.
        ExecutionError = "EXECUTION_ERROR",
        /// The backend's process died after it had begun to answer.
        ProcessDied = "PROCESS_DIED",
        /// The backend's process broke the protocol.
        ProtocolError = "PROTOCOL_ERROR",
        /// The backend's process said nothing for too long, or did not answer at all.
        ProcessStalled = "PROCESS_STALLED",
        /// No process could be started for the turn.
        SpawnFailed = "SPAWN_FAILED",
        /// The Claude Code CLI was not found.
        ClaudeNotFound = "CLAUDE_NOT_FOUND",
        /// The Claude Code CLI is older than the oldest that is supported.
        ClaudeTooOld = "CLAUDE_TOO_OLD",
        /// The turn did not end within its time.
        TurnTimeout = "TURN_TIMEOUT",
        /// The backend's process took more memory than it may, with all that it had started.
        MemoryLimit = "MEMORY_LIMIT",
        /// The server was restarted while the turn ran.
        ServerRestarted = "SERVER_RESTARTED",
        /// Every instance is pinned to another conversation.
        AllInstancesPinned = "ALL_INSTANCES_PINNED",
        /// The answer's data did not fit the schema that was demanded, nor did the repaired one.
        InvalidOutput = "INVALID_OUTPUT",
        /// The module that was asked says that it cannot answer.
        Unanswerable = "UNANSWERABLE",
        /// A bug of the server.
        Internal = "INTERNAL",
    }
);

reasons!(
    /// Why a turn was CANCELLED.
    CancelReason {
        /// CancelTurn.
        CancelRequested = "CANCEL_REQUESTED",
        /// Its instance was stopped.
        InstanceStopped = "INSTANCE_STOPPED",
        /// Its instance was interrupted.
        InstanceInterrupted = "INSTANCE_INTERRUPTED",
        /// Its conversation was deleted.
        ConversationDeleted = "CONVERSATION_DELETED",
        /// The server was shut down and the turn did not end in the time to drain.
        ServerShutdown = "SERVER_SHUTDOWN",
    }
);

/// A reason and its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure<R> {
    /// The stable reason.
    pub reason: R,
    /// The same in words.
    pub message: String,
}

impl<R> Failure<R> {
    /// A reason and its words.
    pub fn new(reason: R, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
