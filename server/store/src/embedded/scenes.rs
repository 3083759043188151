//! The rows of scenes in a write transaction: each is there as long as a conversation has it. Decides nothing else.

use claude_comms_model::ConversationId;
use redb::ReadableTable;

use super::tables::{Fault, OrBroken, Tables};
use crate::Scene;

impl Tables<'_> {
    /// Keeps a scene, unless it is there, for a conversation.
    pub(crate) fn put_scene(&mut self, user: ConversationId, scene: &Scene) -> Result<(), Fault> {
        self.wrote = true;
        let digest = scene.digest.as_str();
        if self.scenes.read()?.get(digest).or_broken()?.is_none() {
            self.scenes.write()?.insert(digest, scene.json.as_str()).or_broken()?;
        }
        self.scene_users.write()?.insert((digest, user.0.as_u128()), ()).or_broken()?;
        Ok(())
    }

    /// A conversation has a scene no more; nothing for the empty digest, which stands for none.
    pub(crate) fn release_scene(&mut self, user: ConversationId, digest: &str) -> Result<(), Fault> {
        if digest.is_empty() {
            return Ok(());
        }
        self.wrote = true;
        let users = self.scene_users.write()?;
        users.remove((digest, user.0.as_u128())).or_broken()?;
        let last = users.range((digest, u128::MIN)..=(digest, u128::MAX)).or_broken()?.next().is_none();
        if last {
            self.scenes.write()?.remove(digest).or_broken()?;
        }
        Ok(())
    }
}
