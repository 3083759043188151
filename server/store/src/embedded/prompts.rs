//! Texts that the rows of their records do not hold: written once, while those rows are written anew at every step.
//!
//! The record's field is empty in its row then; who reads the record puts the text back.

use claude_comms_model::{Conversation, Turn};
use redb::{ReadableTable, StorageError};

/// The largest prompt that a turn's row holds itself, bytes: most turns are read in one go.
const INLINE_BYTES: usize = 4096;

/// Whether a turn's prompt has a row of its own.
pub(crate) fn is_apart(turn: &Turn) -> bool {
    turn.prompt.len() > INLINE_BYTES
}

/// Whether the prompt of a turn that was just read may have one.
pub(crate) fn may_be_apart(turn: &Turn) -> bool {
    turn.prompt.is_empty()
}

/// Puts a turn's prompt back.
pub(crate) fn complete_turn(
    turn: &mut Turn,
    prompts: &impl ReadableTable<u128, &'static str>,
) -> Result<(), StorageError> {
    if may_be_apart(turn)
        && let Some(prompt) = prompts.get(turn.id.0.as_u128())?
    {
        prompt.value().clone_into(&mut turn.prompt);
    }
    Ok(())
}

/// Puts a conversation's system prompt back.
pub(crate) fn complete_conversation(
    conversation: &mut Conversation,
    system_prompts: &impl ReadableTable<u128, &'static str>,
) -> Result<(), StorageError> {
    if let Some(prompt) = system_prompts.get(conversation.id.0.as_u128())? {
        prompt.value().clone_into(&mut conversation.system_prompt);
    }
    Ok(())
}
