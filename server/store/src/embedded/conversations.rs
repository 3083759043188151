//! A conversation's writes: create and delete.

use claude_comms_model::{Conversation, ConversationId, ConversationState, Usage};

use super::tables::{Fault, Tables};
use crate::{NewConversation, StoreError};

pub(crate) fn create(tables: &mut Tables<'_>, new: NewConversation) -> Result<Conversation, Fault> {
    if tables.conversation(new.id)?.is_some() {
        return Err(StoreError::Conflict(format!("there is a conversation {} already", new.id)).into());
    }
    let now = tables.now();
    let mut conversation = Conversation {
        id: new.id,
        title: new.title,
        system_prompt: String::new(),
        model: new.model,
        labels: new.labels,
        state: ConversationState::Active,
        epoch: 0,
        owner: None,
        running: None,
        turn_count: 0,
        usage: Usage::default(),
        cost_usd: 0.0,
        last_sequence: 0,
        claude_session_id: None,
        last_assistant_uuid: None,
        create_time: now,
        update_time: now,
    };
    tables.put_conversation(&conversation)?;
    tables.put_system_prompt(new.id, &new.system_prompt)?;
    conversation.system_prompt = new.system_prompt;
    Ok(conversation)
}

pub(crate) fn delete(tables: &mut Tables<'_>, id: ConversationId) -> Result<bool, Fault> {
    if tables.conversation(id)?.is_none() {
        return Ok(false);
    }
    let unfinished = tables.places(id)?.len();
    if unfinished > 0 {
        return Err(StoreError::Conflict(format!("{unfinished} of its turns have not ended")).into());
    }
    tables.remove_conversation(id)?;
    Ok(true)
}
