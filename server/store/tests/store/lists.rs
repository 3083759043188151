//! Lists: filters, order, and page walks that miss nothing and repeat nothing.

use std::collections::BTreeSet;

use claude_comms_model::{ConversationId, IdMatch, Page, Timestamp, Turn, TurnId, TurnStateKind};
use claude_comms_store::{ConversationQuery, Store, StoreError, TurnQuery};

use crate::support::*;

async fn walk(store: &dyn Store, query: &TurnQuery) -> Vec<Turn> {
    let mut query = query.clone();
    let mut turns = Vec::new();
    loop {
        let page = store.turns(query.clone()).await.unwrap();
        assert!(page.items.len() <= query.limit);
        turns.extend(page.items);
        match page.next {
            Some(token) => query.token = Some(token),
            None => return turns,
        }
    }
}

fn ids(turns: &[Turn]) -> Vec<TurnId> {
    turns.iter().map(|turn| turn.id).collect()
}

/// Three conversations with turns in every state; returns the turns in the order of their ids.
async fn some_turns(store: &dyn Store) -> (Vec<ConversationId>, Vec<Turn>) {
    let mut conversations = Vec::new();
    let mut turns = Vec::new();
    for _ in 0..3 {
        let id = conversation(store).await;
        conversations.push(id);
        for count in 0..6 {
            let (turn, lease) = running(store, id).await;
            turns.push(match count % 2 {
                0 => finished(store, &turn, lease).await.turn,
                _ => store.finish_turn(fail(&turn, Some(lease))).await.unwrap().turn,
            });
            turns.push(queued(store, id).await);
        }
        turns.push(running(store, id).await.0);
    }
    turns.sort_by_key(|turn| turn.id);
    (conversations, turns)
}

#[tokio::test]
async fn every_filter_gives_what_a_look_at_all_turns_gives() {
    let place = place();
    let store = &*place.store;
    let (conversations, all) = some_turns(store).await;
    let state_sets: [&[TurnStateKind]; 5] = [
        &[],
        &[TurnStateKind::Completed],
        &[TurnStateKind::Running, TurnStateKind::Queued],
        &[TurnStateKind::Queued],
        &[TurnStateKind::Running, TurnStateKind::Failed],
    ];
    let mut seen = BTreeSet::new();
    for states in state_sets {
        for conversation_id in [None, Some(conversations[1]), Some(new_conversation().id)] {
            for since in [None, Some(all[11].create_time), Some(Timestamp(i64::MAX))] {
                for newest_first in [false, true] {
                    for limit in [1, 4, 1000] {
                        let states = states.to_vec();
                        let query = TurnQuery {
                            conversation_id,
                            states,
                            since,
                            newest_first,
                            limit,
                            ..TurnQuery::default()
                        };
                        let mut expected: Vec<_> = all
                            .iter()
                            .filter(|turn| conversation_id.is_none_or(|id| id == turn.conversation_id))
                            .filter(|turn| {
                                query.states.is_empty() || query.states.contains(&turn.state.kind())
                            })
                            .filter(|turn| since.is_none_or(|since| turn.create_time >= since))
                            .cloned()
                            .collect();
                        if newest_first {
                            expected.reverse();
                        }
                        seen.insert(expected.len());
                        assert_eq!(walk(store, &query).await, expected, "{query:?}");
                    }
                }
            }
        }
    }
    assert!(seen.len() > 5, "the filters made a difference: {seen:?}");
}

#[tokio::test]
async fn part_of_an_id_finds_turns_and_conversations() {
    let place = place();
    let store = &*place.store;
    let (conversations, all) = some_turns(store).await;
    let simple = all[5].id.0.simple().to_string();
    for (text, expected) in [(&simple[..], 1), (&simple[24..], 1), (&simple[..4], all.len())] {
        let query = TurnQuery { id_match: IdMatch::new(text), limit: 100, ..TurnQuery::default() };
        let found = walk(store, &query).await;
        assert_eq!(found.len(), expected, "{text}");
        assert!(found.contains(&all[5]));
    }
    let text = conversations[2].0.simple().to_string();
    let id_match = IdMatch::new(&text[20..]);
    let query = ConversationQuery { id_match, limit: 100, ..ConversationQuery::default() };
    let page = store.conversations(query).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].id, conversations[2]);
}

#[tokio::test]
async fn conversations_come_newest_first() {
    let place = place();
    let mut made = Vec::new();
    for _ in 0..10 {
        made.push(conversation(&*place.store).await);
    }
    made.reverse();
    for limit in [0, 1, 3, 10, 11] {
        let mut seen = Vec::new();
        let mut query = ConversationQuery { limit, ..ConversationQuery::default() };
        loop {
            let Page { items, next } = place.store.conversations(query.clone()).await.unwrap();
            assert!(items.len() <= limit.max(1));
            seen.extend(items.into_iter().map(|conversation| conversation.id));
            match next {
                Some(token) => query.token = Some(token),
                None => break,
            }
        }
        assert_eq!(seen, made, "limit {limit}");
    }
}

#[tokio::test]
async fn a_token_is_good_for_its_own_list_only() {
    let place = place();
    let store = &*place.store;
    let (conversations, _) = some_turns(store).await;
    let query = TurnQuery { limit: 2, ..TurnQuery::default() };
    let token = store.turns(query.clone()).await.unwrap().next.unwrap();
    let with = |token: &str| Some(token.to_owned());
    let larger_page = TurnQuery { limit: 5, token: with(&token), ..query.clone() };
    assert_eq!(store.turns(larger_page).await.unwrap().items.len(), 5);
    let mut forged = token.clone();
    forged.replace_range(31..32, if &token[31..32] == "0" { "1" } else { "0" });
    let bad = [
        TurnQuery { token: with(""), ..query.clone() },
        TurnQuery { token: with("2"), ..query.clone() },
        TurnQuery { token: with("\u{e9}".repeat(24).as_str()), ..query.clone() },
        TurnQuery { token: with(&forged), ..query.clone() },
        TurnQuery { token: with(&token.to_uppercase()), ..query.clone() },
        TurnQuery { token: with(&format!("{token}0")), ..query.clone() },
        TurnQuery { token: with(&format!("+{}", &token[1..])), ..query.clone() },
        TurnQuery { token: with(&token), newest_first: true, ..query.clone() },
        TurnQuery { token: with(&token), conversation_id: Some(conversations[0]), ..query.clone() },
        TurnQuery { token: with(&token), states: vec![TurnStateKind::Failed], ..query.clone() },
        TurnQuery { token: with(&token), since: Some(Timestamp(0)), ..query.clone() },
        TurnQuery { token: with(&token), id_match: IdMatch::new("0192"), ..query.clone() },
        TurnQuery { token: with(&token), module: Some("billing".to_owned()), ..query.clone() },
    ];
    for query in bad {
        let outcome = store.turns(query.clone()).await;
        assert!(matches!(outcome, Err(StoreError::BadToken)), "{query:?}");
    }
    let query = ConversationQuery { limit: 2, token: Some(token), ..ConversationQuery::default() };
    assert!(matches!(store.conversations(query).await, Err(StoreError::BadToken)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_walk_is_complete_and_without_doubles_while_others_write() {
    let place = place();
    let id = conversation(&*place.store).await;
    let mut before = BTreeSet::new();
    for _ in 0..60 {
        before.insert(queued(&*place.store, id).await.id);
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (begun, mut writes) = tokio::sync::mpsc::channel(4);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let id = if writer == 0 { id } else { conversation(&*place.store).await };
        let (store, stopped, begun) = (place.store.clone(), stopped.clone(), begun.clone());
        writers.spawn(async move {
            let mut written = 0;
            while !*stopped.borrow() {
                let (turn, lease) = running(&*store, id).await;
                finished(&*store, &turn, lease).await;
                written += 1;
                if written == 1 {
                    begun.send(()).await.unwrap();
                }
            }
            written
        });
    }
    for _ in 0..4 {
        writes.recv().await.unwrap();
    }
    for conversation_id in [None, Some(id)] {
        for newest_first in [false, true] {
            let query = TurnQuery { conversation_id, newest_first, limit: 7, ..TurnQuery::default() };
            // Forwards, the walk may run after the writers; so the pages are counted.
            let mut query = query;
            let mut seen = Vec::new();
            for _ in 0..30 {
                let page = place.store.turns(query.clone()).await.unwrap();
                seen.extend(ids(&page.items));
                match page.next {
                    Some(token) => query.token = Some(token),
                    None => break,
                }
            }
            let distinct: BTreeSet<_> = seen.iter().copied().collect();
            assert_eq!(distinct.len(), seen.len(), "an item came twice");
            if !newest_first {
                assert!(before.is_subset(&distinct), "an item is missing");
            }
        }
        let states = vec![TurnStateKind::Queued];
        let query = TurnQuery { conversation_id, states, limit: 7, ..TurnQuery::default() };
        let seen = ids(&walk(&*place.store, &query).await);
        assert_eq!(seen, before.iter().copied().collect::<Vec<_>>());
    }
    stop.send(true).unwrap();
    let written: usize = writers.join_all().await.into_iter().sum();
    assert!(written >= 4, "all wrote");
    let query = TurnQuery { newest_first: true, limit: 13, ..TurnQuery::default() };
    assert_eq!(walk(&*place.store, &query).await.len(), before.len() + written);
}
