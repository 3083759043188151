//! Page tokens: where a list goes on, bound to the list it was made for.

use sha2::{Digest, Sha256};

use crate::{ConversationQuery, StoreError, TurnQuery};

const CHECK_BYTES: usize = 8;

/// Which list a token belongs to: its filters and order, not its page size.
#[derive(Debug, Clone)]
pub(crate) struct List(String);

impl List {
    pub(crate) fn of_conversations(query: &ConversationQuery) -> Self {
        let ConversationQuery { id_match, module, limit: _, token: _ } = query;
        Self(format!("conversations {id_match:?} {module:?}"))
    }

    pub(crate) fn of_turns(query: &TurnQuery) -> Self {
        let TurnQuery { conversation_id, module, states, since, id_match, newest_first, limit: _, token: _ } =
            query;
        Self(format!("turns {conversation_id:?} {module:?} {states:?} {since:?} {id_match:?} {newest_first}"))
    }

    /// The token that goes on after an item.
    pub(crate) fn token(&self, last: u128) -> String {
        format!("{last:032x}{:016x}", self.check(last))
    }

    /// The item after which the page begins; `None` for the first page.
    ///
    /// # Errors
    /// [`StoreError::BadToken`] when the token is not one of this list.
    pub(crate) fn position(&self, token: Option<&str>) -> Result<Option<u128>, StoreError> {
        let Some(token) = token else { return Ok(None) };
        let last = token.get(..32).and_then(|hex| u128::from_str_radix(hex, 16).ok());
        match last {
            Some(last) if self.token(last) == token => Ok(Some(last)),
            _ => Err(StoreError::BadToken),
        }
    }

    fn check(&self, last: u128) -> u64 {
        let digest = Sha256::new().chain_update(&self.0).chain_update(last.to_be_bytes()).finalize();
        let mut check = [0; CHECK_BYTES];
        check.copy_from_slice(&digest[..CHECK_BYTES]);
        u64::from_be_bytes(check)
    }
}
