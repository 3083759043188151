//! A simple model of the store: what the random operations of [`crate::model`] are checked against.

use claude_comms_model::{ConversationId, RequestId, TurnId, TurnStateKind};
use claude_comms_store::{AcceptTurn, Lease};

/// An operation; numbers choose among what is there.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Create,
    Accept { conversation: usize, repeat: Option<usize>, other_payload: bool, start: bool, stale: bool },
    Start { turn: usize },
    Append { turn: usize, events: usize, right: Right },
    Requeue { turn: usize, right: Right },
    Finish { turn: usize, right: Right, answer: bool },
    Query { repeat: Option<usize>, other_payload: bool, start: bool },
    Repair { turn: usize, right: Right },
    Upgrade { conversation: usize, scene: usize, stale: bool },
    Delete { conversation: usize },
    Register { minor: usize, content: usize, force: bool },
    Unregister,
    Reopen,
}

/// By what right a write comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Current,
    OldEpoch,
    OldAttempt,
    NoLease,
}

/// What an operation says, without its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Done,
    Same,
    OtherPayload,
    SceneChanged,
    Busy,
    False,
    Fenced,
    Conflict,
    AlreadyTerminal,
    Illegal,
    NotFound,
}

#[derive(Debug, Clone)]
pub(crate) struct ModelTurn {
    pub(crate) id: TurnId,
    pub(crate) conversation: usize,
    pub(crate) request: RequestId,
    pub(crate) other_payload: bool,
    pub(crate) state: TurnStateKind,
    pub(crate) attempt: u32,
    pub(crate) incarnation: u64,
    /// Made by a query: its request is known in the pair, and something was made of its prompt.
    pub(crate) queried: bool,
    pub(crate) repaired: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct ModelConversation {
    pub(crate) id: ConversationId,
    pub(crate) epoch: u64,
    pub(crate) owner: u64,
    pub(crate) turns: u32,
    pub(crate) events: u64,
    pub(crate) gone: bool,
    /// Whether it is between modules.
    pub(crate) modules: bool,
    /// The text of its scene, if it has one.
    pub(crate) scene: Option<String>,
    pub(crate) scene_revision: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) incarnation: u64,
    pub(crate) conversations: Vec<ModelConversation>,
    pub(crate) turns: Vec<ModelTurn>,
    /// Indices of turns that have not ended, in order.
    pub(crate) queue: Vec<usize>,
    /// The contents that a module had: version, content, revision.
    pub(crate) revisions: Vec<(usize, usize, u32)>,
    /// Index of the current one.
    pub(crate) head: Option<usize>,
}

impl Model {
    pub(crate) fn begin(&mut self, turn: usize) {
        let conversation = &mut self.conversations[self.turns[turn].conversation];
        if conversation.owner != self.incarnation {
            conversation.owner = self.incarnation;
            conversation.epoch += 1;
        }
        conversation.events += 1;
        let turn = &mut self.turns[turn];
        turn.state = TurnStateKind::Running;
        turn.attempt += 1;
        turn.incarnation = self.incarnation;
        turn.repaired = false;
    }

    /// Enters a turn.
    pub(crate) fn accepted(&mut self, wanted: &AcceptTurn, conversation: usize, other_payload: bool) {
        self.turns.push(ModelTurn {
            id: wanted.turn_id,
            conversation,
            request: wanted.request_id,
            other_payload,
            state: TurnStateKind::Queued,
            attempt: 0,
            incarnation: self.incarnation,
            queried: wanted.new_conversation.is_some(),
            repaired: false,
        });
        self.conversations[conversation].turns += 1;
        self.conversations[conversation].events += 1;
        let index = self.turns.len() - 1;
        self.queue.push(index);
        if wanted.start.is_some() {
            self.begin(index);
        }
    }

    /// Makes a conversation; between modules if it has a scene.
    pub(crate) fn made(&mut self, id: ConversationId, scene: Option<String>) {
        self.conversations.push(ModelConversation {
            id,
            epoch: 0,
            owner: 0,
            turns: 0,
            events: 0,
            gone: false,
            modules: scene.is_some(),
            scene,
            scene_revision: 0,
        });
    }

    /// Whether a turn of the conversation has not ended.
    pub(crate) fn is_open(&self, conversation: usize) -> bool {
        self.queue.iter().any(|turn| self.turns[*turn].conversation == conversation)
    }

    /// Registers a version with its content.
    pub(crate) fn register(&mut self, minor: usize, content: usize, force: bool) -> Said {
        if let Some(head) = self.head {
            let current = self.revisions[head];
            if (current.0, current.1) == (minor, content) {
                return Said::Same;
            }
            if minor < current.0 && !force {
                return Said::False;
            }
        }
        let known = self.revisions.iter().position(|known| (known.0, known.1) == (minor, content));
        self.head = Some(known.unwrap_or_else(|| {
            let of_version = self.revisions.iter().filter(|known| known.0 == minor).count();
            self.revisions.push((minor, content, u32::try_from(of_version).unwrap() + 1));
            self.revisions.len() - 1
        }));
        Said::Done
    }

    /// Whether a turn of the conversation runs.
    pub(crate) fn runs(&self, conversation: usize) -> bool {
        self.turns
            .iter()
            .any(|turn| turn.conversation == conversation && turn.state == TurnStateKind::Running)
    }

    /// What is refused before an operation on a turn looks at its state.
    pub(crate) fn refusal(&self, turn: usize, right: Right) -> Option<Said> {
        let turn = &self.turns[turn];
        if self.conversations[turn.conversation].gone {
            return Some(Said::NotFound);
        }
        if turn.state.is_terminal() {
            return Some(Said::AlreadyTerminal);
        }
        let running = turn.state == TurnStateKind::Running;
        let fenced = match right {
            Right::Current => false,
            Right::OldEpoch | Right::OldAttempt => true,
            Right::NoLease => running && turn.incarnation == self.incarnation,
        };
        fenced.then_some(Said::Fenced)
    }

    pub(crate) fn lease(&self, turn: usize, right: Right) -> (Lease, u32) {
        let turn = &self.turns[turn];
        let conversation = &self.conversations[turn.conversation];
        let epoch = conversation.epoch.wrapping_sub(u64::from(right == Right::OldEpoch));
        let attempt = turn.attempt.wrapping_sub(u32::from(right == Right::OldAttempt));
        (Lease { conversation_id: conversation.id, epoch }, attempt)
    }
}
