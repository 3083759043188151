//! The account's limits with the Messages API, as the backend told them. Pure: the clock is the caller's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use claude_comms_stream_json::turn::RateLimitInfo;

/// The backend waits by itself for as long as this when the API says when to come back; beyond it the account counts as
/// limited.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the API said last of the account's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `allowed`, `allowed_warning` or `rejected`.
    pub status: String,
    /// Which limit; empty where it did not say.
    pub kind: String,
    /// When it is lifted.
    pub reset: Option<SystemTime>,
    /// Whether the account goes on beyond it, at a price.
    pub using_overage: bool,
}

impl Account {
    /// As the backend read it from the API's headers.
    pub(crate) fn said(info: &RateLimitInfo) -> Self {
        Self {
            status: info.status.clone(),
            kind: info.rate_limit_type.clone().unwrap_or_default(),
            reset: info.resets_at.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))),
            using_overage: info.is_using_overage,
        }
    }

    /// The API refused a call (429) and told when to come back.
    pub(crate) fn told_to_wait(until: SystemTime) -> Self {
        Self { status: "rejected".to_owned(), kind: String::new(), reset: Some(until), using_overage: false }
    }

    /// Until when calls are refused, if they are.
    pub(crate) fn blocked(&self, now: SystemTime) -> Option<SystemTime> {
        let refused = self.status == "rejected" && !self.using_overage;
        self.reset.filter(|reset| refused && *reset > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rejected_account_without_overage_waits_and_not_beyond_its_reset() {
        let reset = UNIX_EPOCH + Duration::from_secs(1000);
        let now = UNIX_EPOCH + Duration::from_secs(900);
        let said = |status: &str, resets_at, is_using_overage| {
            Account::said(&RateLimitInfo {
                status: status.to_owned(),
                resets_at,
                rate_limit_type: Some("five_hour".to_owned()),
                is_using_overage,
            })
        };
        assert_eq!(said("rejected", Some(1000), false).blocked(now), Some(reset));
        assert_eq!(said("rejected", Some(1000), false).blocked(reset), None);
        assert_eq!(said("rejected", Some(1000), true).blocked(now), None);
        assert_eq!(said("rejected", None, false).blocked(now), None, "nobody can wait for an unknown time");
        assert_eq!(said("allowed_warning", Some(1000), false).blocked(now), None);
        assert_eq!(said("rejected", Some(u64::MAX), false).reset, None, "nonsense is no time");
        assert_eq!(Account::told_to_wait(reset).blocked(now), Some(reset));
    }
}
