//! What is asked, and what makes two requests the same.

use std::time::Duration;

use claude_comms_context::Overrides;
use claude_comms_model::{ConversationId, InstanceId, RequestId};
use claude_comms_store::RequestScope;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Where a question is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a conversation that is there.
    Conversation(ConversationId),
    /// In a new one between two modules; no source is a person.
    Pair {
        /// Who asks.
        source: String,
        /// Who is asked.
        target: String,
    },
}

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// Where it is asked.
    pub place: Place,
    /// The prompt; empty where the template needs none.
    pub prompt: String,
    /// The target's capability; empty for none.
    pub capability: String,
    /// The schema of the answer's data; empty for none, or for the capability's.
    pub output_schema: String,
    /// The template; empty for the usual one.
    pub template: String,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// What is changed in the context of a new conversation.
    pub overrides: Overrides,
    /// Its id, if one was given.
    pub request_id: Option<RequestId>,
    /// Its time, if one was given.
    pub timeout: Option<Duration>,
    /// The instance that must run it.
    pub instance: Option<InstanceId>,
}

impl Query {
    /// A prompt for a conversation, and nothing else.
    pub(crate) fn prompt(conversation: ConversationId, prompt: String) -> Self {
        Self {
            place: Place::Conversation(conversation),
            prompt,
            capability: String::new(),
            output_schema: String::new(),
            template: String::new(),
            parameters: Map::new(),
            overrides: Overrides::default(),
            request_id: None,
            timeout: None,
            instance: None,
        }
    }

    /// Whether a conversation without modules would send its prompt unchanged.
    pub(crate) fn is_plain(&self) -> bool {
        self.capability.is_empty()
            && self.output_schema.is_empty()
            && self.template.is_empty()
            && self.parameters.is_empty()
    }

    /// Within what its id is unique.
    pub(crate) fn scope(&self) -> RequestScope {
        match &self.place {
            Place::Conversation(id) => RequestScope::Conversation(*id),
            Place::Pair { source, target } => {
                let hash = Sha256::digest(format!("pair\0{source}\0{target}").as_bytes());
                let mut number = [0; 16];
                number.copy_from_slice(&hash[..16]);
                RequestScope::Pair(u128::from_be_bytes(number))
            }
        }
    }

    /// What makes two requests the same but for their id: everything that can change the answer.
    pub(crate) fn payload_hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.instance.map(|id| id.to_string()).unwrap_or_default().as_bytes());
        hash.update([0]);
        hash.update(self.prompt.as_bytes());
        if !self.is_plain() || self.overrides != Overrides::default() {
            let rest = serde_json::to_string(&(
                &self.capability,
                &self.output_schema,
                &self.template,
                &self.parameters,
                &self.overrides,
            ));
            hash.update([0]);
            hash.update(rest.expect("plain values").as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
