//! A conversation's writes: create, upgrade and delete.

use claude_comms_model::{Conversation, ConversationId, Timestamp};

use super::{
    indexes,
    tables::{Fault, Tables},
};
use crate::{NewConversation, Scene, StoreError, UpgradeConversation, UpgradeOutcome};

/// A conversation that may be made, and the texts that its row does not hold.
pub(crate) struct Making {
    pub(crate) conversation: Conversation,
    system_prompt: String,
    scene: Option<Scene>,
}

/// Checks that it may be made; writes nothing.
pub(crate) fn prepare(tables: &Tables<'_>, new: NewConversation, now: Timestamp) -> Result<Making, Fault> {
    if tables.conversation(new.id)?.is_some() {
        return Err(StoreError::Conflict(format!("there is a conversation {} already", new.id)).into());
    }
    let scene = new.scene.as_ref().map(|scene| scene.digest.clone());
    let conversation = Conversation {
        title: new.title,
        model: new.model,
        labels: new.labels,
        source_module: new.source_module,
        target_module: new.target_module,
        scene: scene.unwrap_or_default(),
        ..Conversation::new(new.id, now)
    };
    Ok(Making { conversation, system_prompt: new.system_prompt, scene: new.scene })
}

/// Writes a new conversation; gives it back with its system prompt.
pub(crate) fn make(tables: &mut Tables<'_>, making: Making) -> Result<Conversation, Fault> {
    let Making { mut conversation, system_prompt, scene } = making;
    tables.put_conversation(&conversation)?;
    tables.list_conversation(&conversation)?;
    if !system_prompt.is_empty() {
        tables.put_system_prompt(conversation.id, &system_prompt)?;
    }
    if let Some(scene) = &scene {
        tables.put_scene(conversation.id, scene)?;
    }
    conversation.system_prompt = system_prompt;
    Ok(conversation)
}

pub(crate) fn create(tables: &mut Tables<'_>, new: NewConversation) -> Result<Conversation, Fault> {
    let making = prepare(tables, new, tables.now())?;
    make(tables, making)
}

pub(crate) fn upgrade(
    tables: &mut Tables<'_>,
    upgrade: UpgradeConversation,
) -> Result<UpgradeOutcome, Fault> {
    let mut conversation = tables.known_conversation(upgrade.id)?;
    if conversation.scene_revision != upgrade.seen_revision {
        let revision = conversation.scene_revision;
        return Err(StoreError::Conflict(format!("it was upgraded before: {revision} times by now")).into());
    }
    if !tables.places(upgrade.id)?.is_empty() {
        return Ok(UpgradeOutcome::Busy);
    }
    let before = indexes::modules_of(&conversation);
    conversation.source_module = upgrade.source_module;
    conversation.target_module = upgrade.target_module;
    conversation.model = upgrade.model;
    let old_scene = std::mem::replace(&mut conversation.scene, upgrade.scene.digest.clone());
    conversation.scene_revision = conversation.scene_revision.saturating_add(1);
    tables.put_conversation(&conversation)?;
    tables.relist_conversation(&conversation, &before)?;
    if old_scene != upgrade.scene.digest {
        tables.put_scene(upgrade.id, &upgrade.scene)?;
        tables.release_scene(upgrade.id, &old_scene)?;
    }
    if upgrade.system_prompt.is_empty() {
        tables.remove_system_prompt(upgrade.id)?;
    } else {
        tables.put_system_prompt(upgrade.id, &upgrade.system_prompt)?;
    }
    conversation.system_prompt = upgrade.system_prompt;
    Ok(UpgradeOutcome::Upgraded(Box::new(conversation)))
}

pub(crate) fn delete(tables: &mut Tables<'_>, id: ConversationId) -> Result<bool, Fault> {
    let Some(conversation) = tables.conversation(id)? else { return Ok(false) };
    let unfinished = tables.places(id)?.len();
    if unfinished > 0 {
        return Err(StoreError::Conflict(format!("{unfinished} of its turns have not ended")).into());
    }
    tables.remove_conversation(&conversation)?;
    Ok(true)
}
