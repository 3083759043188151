//! Where a turn and a conversation are found by other things than their ids: requests and modules. Rows of a write
//! transaction; decides nothing.

use claude_comms_model::{Conversation, ConversationId, RequestId, Turn, TurnId};
use redb::ReadableTable;
use uuid::Uuid;

use super::tables::{Fault, OrBroken, Tables};
use crate::RequestScope;

/// The names of the modules that a conversation is between, each once.
pub(crate) fn modules_of(conversation: &Conversation) -> Vec<String> {
    let both = conversation.source_module.iter().chain(&conversation.target_module);
    let mut names: Vec<_> = both.map(|module| module.name.clone()).collect();
    names.dedup();
    names
}

impl Tables<'_> {
    /// The turn that a request made within its scope, or at least in its conversation: a conversation never has two
    /// turns of one request.
    pub(crate) fn turn_of_request(
        &self,
        scope: RequestScope,
        conversation: ConversationId,
        request: RequestId,
    ) -> Result<Option<TurnId>, Fault> {
        let request = request.0.as_u128();
        if let RequestScope::Pair(pair) = scope
            && let Some(id) = self.pair_requests.read()?.get((pair, request)).or_broken()?
        {
            return Ok(Some(TurnId(Uuid::from_u128(id.value()))));
        }
        let row = self.requests.read()?.get((conversation.0.as_u128(), request)).or_broken()?;
        Ok(row.map(|id| TurnId(Uuid::from_u128(id.value()))))
    }

    /// Enters a new turn under its request: always within its conversation, and within a pair if that is its scope.
    pub(crate) fn put_request(&mut self, scope: RequestScope, turn: &Turn) -> Result<(), Fault> {
        self.wrote = true;
        let (id, request) = (turn.id.0.as_u128(), turn.request_id.0.as_u128());
        self.requests.write()?.insert((turn.conversation_id.0.as_u128(), request), id).or_broken()?;
        if let RequestScope::Pair(pair) = scope {
            self.pair_requests.write()?.insert((pair, request), id).or_broken()?;
            self.paired_turns.write()?.insert(id, (pair, request)).or_broken()?;
        }
        Ok(())
    }

    /// Enters a new turn under the modules of its conversation.
    pub(crate) fn list_turn(&mut self, conversation: &Conversation, turn: &Turn) -> Result<(), Fault> {
        for name in modules_of(conversation) {
            self.wrote = true;
            self.module_turns.write()?.insert((name.as_str(), turn.id.0.as_u128()), ()).or_broken()?;
        }
        Ok(())
    }

    /// Enters a new conversation under its modules.
    pub(crate) fn list_conversation(&mut self, conversation: &Conversation) -> Result<(), Fault> {
        for name in modules_of(conversation) {
            self.wrote = true;
            let key = (name.as_str(), conversation.id.0.as_u128());
            self.module_conversations.write()?.insert(key, ()).or_broken()?;
        }
        Ok(())
    }

    /// Enters a conversation and its turns under its modules, and no longer under those it had before.
    pub(crate) fn relist_conversation(
        &mut self,
        conversation: &Conversation,
        before: &[String],
    ) -> Result<(), Fault> {
        let now = modules_of(conversation);
        if before == now {
            return Ok(());
        }
        self.wrote = true;
        let id = conversation.id.0.as_u128();
        let turns = self.turns_of(conversation.id)?;
        let (listed, listed_turns) = (self.module_conversations.write()?, self.module_turns.write()?);
        for name in before {
            listed.remove((name.as_str(), id)).or_broken()?;
            for turn in &turns {
                listed_turns.remove((name.as_str(), *turn)).or_broken()?;
            }
        }
        for name in &now {
            listed.insert((name.as_str(), id), ()).or_broken()?;
            for turn in &turns {
                listed_turns.insert((name.as_str(), *turn), ()).or_broken()?;
            }
        }
        Ok(())
    }

    /// Removes all rows of this file's tables that lead to a conversation or to a turn of it.
    pub(crate) fn unlist_conversation(&mut self, conversation: &Conversation) -> Result<(), Fault> {
        self.wrote = true;
        let id = conversation.id.0.as_u128();
        let turns = self.turns_of(conversation.id)?;
        for turn in &turns {
            if let Some(key) = self.paired_turns.write()?.remove(*turn).or_broken()? {
                self.pair_requests.write()?.remove(key.value()).or_broken()?;
            }
        }
        for name in modules_of(conversation) {
            self.module_conversations.write()?.remove((name.as_str(), id)).or_broken()?;
            for turn in &turns {
                self.module_turns.write()?.remove((name.as_str(), *turn)).or_broken()?;
            }
        }
        let requests = self.requests.write()?;
        requests.retain_in((id, u128::MIN)..=(id, u128::MAX), |_, _| false).or_broken()
    }

    fn turns_of(&self, conversation: ConversationId) -> Result<Vec<u128>, Fault> {
        let id = conversation.0.as_u128();
        let rows = self.conversation_turns.read()?.range((id, u128::MIN)..=(id, u128::MAX)).or_broken()?;
        rows.map(|row| Ok(row.or_broken()?.0.value().1)).collect()
    }
}
