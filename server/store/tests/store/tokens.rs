//! Tokens: which names are free, what revoking does, and how many are remembered.

use claude_comms_model::{Timestamp, TokenRecord, TokenScope};
use claude_comms_store::{ENDED_TOKENS, TokenOutcome, TokenUse};

use crate::support::*;

const LONG_AGO: Option<Timestamp> = Some(Timestamp(1));

fn token(name: &str, secret: &str) -> TokenRecord {
    TokenRecord {
        name: name.to_owned(),
        scope: TokenScope::Query,
        digest: digest(secret),
        create_time: Timestamp(1),
        expire_time: None,
        revoke_time: None,
        last_used_time: None,
    }
}

fn used(token: &TokenRecord, time: i64) -> TokenUse {
    TokenUse { name: token.name.clone(), digest: token.digest.clone(), time: Timestamp(time) }
}

#[tokio::test]
async fn tokens_are_remembered_by_name_across_reopening() {
    let place = place();
    let (ci, app) = (token("ci", "a"), TokenRecord { expire_time: LONG_AGO, ..token("app", "b") });
    for token in [&ci, &app] {
        assert_eq!(place.store.create_token(token.clone()).await.unwrap(), TokenOutcome::Created);
    }
    let revoked = place.store.revoke_token("ci".to_owned()).await.unwrap().unwrap();
    assert!(revoked.revoke_time.is_some());
    let place = place.reopened().await;
    assert_eq!(place.store.tokens().await.unwrap(), [app, revoked]);
}

#[tokio::test]
async fn a_name_is_free_again_only_when_its_token_has_ended() {
    let place = place();
    let store = &*place.store;
    let first = token("ci", "a");
    assert_eq!(store.create_token(first.clone()).await.unwrap(), TokenOutcome::Created);
    let second = token("ci", "b");
    assert_eq!(store.create_token(second.clone()).await.unwrap(), TokenOutcome::Taken(Box::new(first)));
    store.revoke_token("ci".to_owned()).await.unwrap().unwrap();
    let second = TokenRecord { expire_time: LONG_AGO, ..second };
    assert_eq!(store.create_token(second.clone()).await.unwrap(), TokenOutcome::Created);
    assert_eq!(store.tokens().await.unwrap(), [second]);
    let third = token("ci", "c");
    assert_eq!(store.create_token(third.clone()).await.unwrap(), TokenOutcome::Created, "it had expired");
    assert_eq!(store.tokens().await.unwrap(), [third]);
}

#[tokio::test]
async fn revoking_again_changes_nothing_and_what_is_not_there_is_none() {
    let place = place();
    let store = &*place.store;
    assert_eq!(store.revoke_token("ci".to_owned()).await.unwrap(), None);
    store.create_token(token("ci", "a")).await.unwrap();
    let first = store.revoke_token("ci".to_owned()).await.unwrap().unwrap();
    assert_eq!(store.revoke_token("ci".to_owned()).await.unwrap(), Some(first));
}

#[tokio::test]
async fn the_time_of_use_never_goes_back_and_is_the_very_tokens() {
    let place = place();
    let store = &*place.store;
    let (old, new) = (token("ci", "a"), token("ci", "b"));
    store.create_token(old.clone()).await.unwrap();
    store.use_tokens(vec![used(&old, 7), used(&old, 5), used(&token("gone", "x"), 9)]).await.unwrap();
    assert_eq!(store.tokens().await.unwrap()[0].last_used_time, Some(Timestamp(7)));
    store.revoke_token("ci".to_owned()).await.unwrap();
    store.create_token(new).await.unwrap();
    store.use_tokens(vec![used(&old, 9)]).await.unwrap();
    assert_eq!(store.tokens().await.unwrap()[0].last_used_time, None, "that use was of another secret");
}

#[tokio::test]
async fn of_ended_tokens_the_last_are_remembered() {
    let place = place();
    let store = &*place.store;
    for number in 0..ENDED_TOKENS + 2 {
        let expire_time = Some(Timestamp(1 + i64::try_from(number).unwrap()));
        let ended = TokenRecord { expire_time, ..token(&format!("t{number:04}"), "x") };
        assert_eq!(store.create_token(ended).await.unwrap(), TokenOutcome::Created);
    }
    store.create_token(token("good", "y")).await.unwrap();
    let names: Vec<String> = store.tokens().await.unwrap().into_iter().map(|token| token.name).collect();
    assert_eq!(names.len(), 1 + ENDED_TOKENS);
    assert_eq!((names[0].as_str(), names[1].as_str()), ("good", "t0002"));
}
