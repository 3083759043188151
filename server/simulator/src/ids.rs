//! The ids of the lines: one random start per process, then counting, because
//! a system call per line would be most of the cost of a delta. It knows
//! nothing of what the ids are for.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid};

/// Gives ids that are unique in this process and, for all practical purposes, anywhere.
#[derive(Debug)]
pub(crate) struct Ids {
    base: u128,
    given: u64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self { base: Uuid::new_v4().as_u128(), given: 0 }
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(&mut self) -> Uuid {
        let number = self.next();
        Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
    }

    /// An API message id such as `msg_sim_00c0ffee00000001`.
    pub(crate) fn message(&mut self) -> String {
        format!("msg_sim_{:016x}", self.next() as u64)
    }

    /// An API request id such as `req_sim_00c0ffee00000002`.
    pub(crate) fn request(&mut self) -> String {
        format!("req_sim_{:016x}", self.next() as u64)
    }

    fn next(&mut self) -> u128 {
        self.given += 1;
        self.base.wrapping_add(u128::from(self.given))
    }
}

/// Now as the CLI writes it: `2026-11-22T13:45:01.123Z`.
pub(crate) fn timestamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// Year, month and day of a day counted from 1970-01-01 (Hinnant's `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_on_both_sides_of_a_leap_day() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(civil(20_779), (2026, 11, 22));
    }

    #[test]
    fn ids_do_not_repeat() {
        let mut ids = Ids::new();
        let some: std::collections::HashSet<Uuid> = (0..1000).map(|_| ids.uuid()).collect();
        assert_eq!(some.len(), 1000);
    }
}
