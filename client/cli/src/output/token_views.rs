//! Tokens as people see them.

use std::time::SystemTime;

use claude_comms_client::v1;

use super::{
    Column, Details, Table, View,
    human::{ago, time},
};

impl View for v1::Token {
    fn details(&self) -> Details {
        Details::default()
            .fact("name", &self.name)
            .fact("scope", scope(self))
            .state("state", state(self, SystemTime::now()))
            .fact("created", time(self.create_time.as_ref()))
            .fact("expires", expires(self))
            .fact("revoked", time(self.revoke_time.as_ref()))
            .fact("last used", used(self, SystemTime::now()))
    }
}

/// The table of tokens.
pub(crate) fn tokens(tokens: &[v1::Token]) -> Table {
    let now = SystemTime::now();
    let mut table = Table::new(&[
        Column::new("NAME").flexible(),
        Column::new("SCOPE"),
        Column::new("STATE").painted(),
        Column::new("CREATED").droppable(2),
        Column::new("EXPIRES").droppable(1),
        Column::new("LAST USED").droppable(3),
    ]);
    for token in tokens {
        table.row([
            token.name.clone(),
            scope(token),
            state(token, now).into(),
            ago(token.create_time.as_ref(), now),
            expires(token),
            used(token, now),
        ]);
    }
    table
}

/// What is said of a new token, whose secret was just printed.
pub(crate) fn created(token: &v1::Token) -> String {
    let end = match &token.expire_time {
        Some(_) => format!("good until {}", expires(token)),
        None => "good until it is revoked".to_owned(),
    };
    format!("token {}, scope {}, {end}; its secret is shown this once", token.name, scope(token))
}

fn scope(token: &v1::Token) -> String {
    token.scope().as_str_name().trim_start_matches("TOKEN_SCOPE_").to_ascii_lowercase()
}

fn state(token: &v1::Token, now: SystemTime) -> &'static str {
    let expired =
        token.expire_time.and_then(|end| SystemTime::try_from(end).ok()).is_some_and(|end| end <= now);
    match token.revoke_time {
        Some(_) => "revoked",
        None if expired => "expired",
        None => "good",
    }
}

fn expires(token: &v1::Token) -> String {
    token.expire_time.as_ref().map_or_else(|| "never".to_owned(), |end| time(Some(end)))
}

fn used(token: &v1::Token, now: SystemTime) -> String {
    token.last_used_time.as_ref().map_or_else(|| "never".to_owned(), |used| ago(Some(used), now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_revoked_or_expired() {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(100);
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        for (expire_time, revoke_time, expected) in [
            (None, None, "good"),
            (at(101), None, "good"),
            (at(100), None, "expired"),
            (at(100), at(50), "revoked"),
        ] {
            let token = v1::Token { expire_time, revoke_time, ..Default::default() };
            assert_eq!(state(&token, now), expected);
        }
        let token = v1::Token { name: "ci".into(), scope: 1, ..Default::default() };
        assert_eq!(
            created(&token),
            "token ci, scope read, good until it is revoked; its secret is shown this once"
        );
    }
}
