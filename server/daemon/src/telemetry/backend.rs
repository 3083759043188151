//! What is counted of a backend that fails: retries, and what is held back.

use super::Figures;

impl Figures {
    /// A turn is tried again: because the API could not take it, or because its process was lost.
    pub fn turn_retried(&self, by_api: bool) {
        self.counters().retries.with_label_values(&[if by_api { "turn" } else { "process" }]).inc();
    }

    /// A turn is not tried again, because too many were.
    pub fn retry_refused(&self) {
        self.counters().retries_refused.inc();
    }

    /// Whether no process is started, because too many were lost.
    pub fn starts_are_held(&self, held: bool) {
        self.counters().starts_held.set(i64::from(held));
    }

    /// Whether the API takes no calls of the account.
    pub fn account_is_limited(&self, limited: bool) {
        self.counters().account_limited.set(i64::from(limited));
    }
}
