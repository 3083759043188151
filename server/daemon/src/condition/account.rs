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

/// Most kinds of limit that are kept.
const KINDS: usize = 8;

/// The account's limits of all kinds, what was told last at the end.
#[derive(Debug, Default)]
pub(crate) struct Accounts(Vec<Account>);

impl Accounts {
    /// Takes what the API told of one kind. The others stay as they are, but for one without a name: a call that is taken
    /// shows that it is lifted.
    pub(crate) fn told(&mut self, account: Account) {
        let taken = account.status != "rejected";
        self.0.retain(|other| other.kind != account.kind && !(taken && other.kind.is_empty()));
        if self.0.len() >= KINDS {
            self.0.remove(0);
        }
        self.0.push(account);
    }

    /// Until when calls are refused, if they are: until the last of the limits is lifted.
    pub(crate) fn blocked(&self, now: SystemTime) -> Option<SystemTime> {
        self.0.iter().filter_map(|account| account.blocked(now)).max()
    }

    /// The one that holds the longest, or the last that was told.
    pub(crate) fn shown(&self, now: SystemTime) -> Option<&Account> {
        let holds = self.0.iter().filter(|account| account.blocked(now).is_some());
        holds.max_by_key(|account| account.reset).or(self.0.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_one_kind_is_not_lifted_by_word_of_another() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let told = |kind: &str, status: &str, reset| Account {
            status: status.to_owned(),
            kind: kind.to_owned(),
            reset: Some(at(reset)),
            using_overage: false,
        };
        let mut accounts = Accounts::default();
        assert!(accounts.blocked(at(0)).is_none() && accounts.shown(at(0)).is_none());
        accounts.told(told("seven_day", "rejected", 1000));
        accounts.told(told("five_hour", "rejected", 500));
        assert_eq!(accounts.blocked(at(0)), Some(at(1000)), "the one that holds the longest");
        accounts.told(told("five_hour", "allowed", 500));
        assert_eq!(accounts.blocked(at(0)), Some(at(1000)));
        assert_eq!(accounts.shown(at(0)).unwrap().kind, "seven_day");
        assert_eq!(accounts.shown(at(1000)).unwrap().kind, "five_hour", "nothing holds: what was told last");
        accounts.told(told("seven_day", "allowed_warning", 1000));
        assert_eq!(accounts.blocked(at(0)), None);
        accounts.told(Account::told_to_wait(at(700)));
        assert_eq!(accounts.blocked(at(0)), Some(at(700)));
        accounts.told(told("five_hour", "allowed", 500));
        assert_eq!(accounts.blocked(at(0)), None, "a call was taken");
        (0..100).for_each(|i| accounts.told(told(&i.to_string(), "rejected", 1000 + i)));
        assert_eq!((accounts.0.len(), accounts.blocked(at(0))), (KINDS, Some(at(1099))));
    }

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
