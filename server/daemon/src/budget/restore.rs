//! What was spent today by earlier runs of the server, read from the store.

use std::{collections::HashMap, sync::Arc, time::Duration};

use claude_comms_model::{ConversationId, Timestamp};
use claude_comms_store::{Store, StoreError, TurnQuery};

use tokio_util::task::TaskTracker;

use super::{Budgets, DAY_MICROS, Pair, day_of, nano};
use crate::backend::chain;

/// Turns of a page.
const PAGE: usize = 500;
/// Turns that are read at most: the newest of them.
const MOST: usize = 200_000;

impl Budgets {
    /// Knows what was spent today before this run began. It is waited for where a budget depends on it.
    ///
    /// # Errors
    /// [`StoreError`], where it is waited for.
    pub(crate) async fn restored(
        &self,
        store: &Arc<dyn Store>,
        tracker: &TaskTracker,
    ) -> Result<(), StoreError> {
        let (budgets, store, until) = (self.clone(), Arc::clone(store), self.now());
        if self.has_day_limits() {
            return budgets.restore(store, until).await;
        }
        tracker.spawn(async move {
            if let Err(error) = budgets.restore(store, until).await {
                tracing::warn!(error = chain(&error), "what was spent today is not known");
            }
        });
        Ok(())
    }

    /// Adds what turns cost that ended today and before `until`, when this run of the server began to count. A turn may
    /// have begun as long before today as turns may take.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn restore(&self, store: Arc<dyn Store>, until: Timestamp) -> Result<(), StoreError> {
        let midnight = Timestamp(day_of(until) * DAY_MICROS);
        let longest = self.0.settings.now().pool.turn_timeout.min(Duration::from_secs(24 * 3600));
        let since = Timestamp(midnight.0.saturating_sub(i64::try_from(longest.as_micros()).unwrap_or(0)));
        let mut pairs: HashMap<ConversationId, Pair> = HashMap::new();
        let (mut token, mut read) = (None, 0);
        loop {
            let query =
                TurnQuery { newest_first: true, limit: PAGE, token: token.take(), ..TurnQuery::default() };
            let page = store.turns(query).await?;
            read += page.items.len();
            for turn in page.items {
                // Newest first, by their ids, which begin with the time.
                if turn.create_time < since {
                    return Ok(());
                }
                let ended_today = turn.end_time.is_some_and(|end| end >= midnight && end < until);
                if !ended_today || turn.cost_usd <= 0.0 {
                    continue;
                }
                let pair = match pairs.get(&turn.conversation_id) {
                    Some(pair) => pair.clone(),
                    None => {
                        let conversation = store.conversation(turn.conversation_id).await?;
                        let pair = conversation.map(|found| Pair::of(&found)).unwrap_or_default();
                        pairs.insert(turn.conversation_id, pair.clone());
                        pair
                    }
                };
                let mut ledger = self.ledger();
                // Midnight may have passed while it was read.
                if day_of(self.now()) == day_of(until) {
                    ledger.settle(&pair.target, 0, nano(turn.cost_usd));
                }
                ledger.means.learn(&pair, nano(turn.cost_usd));
            }
            token = page.next;
            if token.is_none() {
                return Ok(());
            }
            if read >= MOST {
                tracing::warn!(
                    turns = read,
                    "today had more turns than are read again: budgets begin too low"
                );
                return Ok(());
            }
        }
    }
}
