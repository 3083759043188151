//! Lists of a module's conversations and turns: what a look at all of them gives.

use claude_comms_model::{Conversation, ConversationId, IdMatch, Timestamp, Turn, TurnStateKind};
use claude_comms_store::{
    AcceptTurn, ConversationQuery, NewConversation, Store, StoreError, TurnQuery, UpgradeConversation,
};

use crate::support::*;

const MODULES: [&str; 5] = ["a", "aa", "b", "c", ""];

/// Conversations between some pairs, one with a person, one without modules; their turns are mixed in time.
async fn some(store: &dyn Store) -> (Vec<Conversation>, Vec<Turn>) {
    let pairs = [
        (Some("a"), Some("b")),
        (Some("b"), Some("aa")),
        (None, Some("a")),
        (Some("b"), Some("b")),
        (None, None),
    ];
    let mut made = Vec::new();
    for (source, target) in pairs.into_iter().chain(pairs) {
        let new = NewConversation {
            source_module: source.map(module),
            target_module: target.map(module),
            ..new_conversation()
        };
        made.push(store.create_conversation(new).await.unwrap().id);
    }
    let mut turns = Vec::new();
    for round in 0..4 {
        for id in &made {
            let (turn, lease) = running(store, *id).await;
            turns.push(match round % 2 {
                0 => finished(store, &turn, lease).await.turn,
                _ => store.finish_turn(fail(&turn, Some(lease))).await.unwrap().turn,
            });
        }
    }
    for id in &made {
        turns.push(queued(store, *id).await);
    }
    turns.sort_by_key(|turn| turn.id);
    let mut conversations = Vec::new();
    for id in made.into_iter().rev() {
        conversations.push(store.conversation(id).await.unwrap().unwrap());
    }
    (conversations, turns)
}

fn has(conversation: &Conversation, module: &str) -> bool {
    let mut both = conversation.source_module.iter().chain(&conversation.target_module);
    both.any(|of_it| of_it.name == module)
}

async fn conversations(store: &dyn Store, mut query: ConversationQuery) -> Vec<Conversation> {
    let mut all = Vec::new();
    loop {
        let page = store.conversations(query.clone()).await.unwrap();
        assert!(page.items.len() <= query.limit);
        all.extend(page.items);
        match page.next {
            Some(token) => query.token = Some(token),
            None => return all,
        }
    }
}

async fn turns(store: &dyn Store, mut query: TurnQuery) -> Vec<Turn> {
    let mut all = Vec::new();
    loop {
        let page = store.turns(query.clone()).await.unwrap();
        assert!(page.items.len() <= query.limit);
        all.extend(page.items);
        match page.next {
            Some(token) => query.token = Some(token),
            None => return all,
        }
    }
}

#[tokio::test]
async fn a_modules_conversations_are_those_with_it_on_either_side() {
    let place = place();
    let (all, _) = some(&*place.store).await;
    let last = all[2].id.0.simple().to_string();
    for module in MODULES {
        for id_match in [None, IdMatch::new(&last[20..])] {
            let expected: Vec<_> = all
                .iter()
                .filter(|conversation| has(conversation, module))
                .filter(|conversation| id_match.as_ref().is_none_or(|part| part.matches(conversation.id.0)))
                .cloned()
                .collect();
            for limit in [1, 3, 100] {
                let query = ConversationQuery {
                    id_match: id_match.clone(),
                    module: Some(module.to_owned()),
                    limit,
                    token: None,
                };
                assert_eq!(conversations(&*place.store, query).await, expected, "{module} by {limit}");
            }
        }
    }
}

#[tokio::test]
async fn a_modules_turns_are_those_of_its_conversations_whatever_else_is_asked() {
    let place = place();
    let (all, of_all) = some(&*place.store).await;
    let state_sets: [&[TurnStateKind]; 4] = [
        &[],
        &[TurnStateKind::Completed],
        &[TurnStateKind::Queued, TurnStateKind::Running],
        &[TurnStateKind::Queued, TurnStateKind::Failed],
    ];
    let ids: Vec<Option<ConversationId>> = vec![None, Some(all[9].id), Some(all[6].id), Some(all[5].id)];
    let mut seen = std::collections::BTreeSet::new();
    for module in MODULES {
        for states in state_sets {
            for conversation_id in ids.clone() {
                for since in [None, Some(of_all[20].create_time), Some(Timestamp(i64::MAX))] {
                    for (newest_first, limit) in [(false, 1), (true, 1), (false, 7), (true, 7), (false, 100)]
                    {
                        let query = TurnQuery {
                            conversation_id,
                            module: Some(module.to_owned()),
                            states: states.to_vec(),
                            since,
                            id_match: None,
                            newest_first,
                            limit,
                            token: None,
                        };
                        let of = |turn: &Turn| all.iter().find(|of| of.id == turn.conversation_id).unwrap();
                        let mut expected: Vec<_> = of_all
                            .iter()
                            .filter(|turn| has(of(turn), module))
                            .filter(|turn| conversation_id.is_none_or(|id| id == turn.conversation_id))
                            .filter(|turn| states.is_empty() || states.contains(&turn.state.kind()))
                            .filter(|turn| since.is_none_or(|since| turn.create_time >= since))
                            .cloned()
                            .collect();
                        if newest_first {
                            expected.reverse();
                        }
                        seen.insert(expected.len());
                        assert_eq!(turns(&*place.store, query.clone()).await, expected, "{query:?}");
                    }
                }
            }
        }
    }
    assert!(seen.len() > 5, "the filters made a difference: {seen:?}");
}

#[tokio::test]
async fn a_token_is_good_for_its_own_module_only() {
    let place = place();
    let store = &*place.store;
    some(store).await;
    let of = |module: &str| ConversationQuery {
        module: Some(module.to_owned()),
        limit: 1,
        ..ConversationQuery::default()
    };
    let token = store.conversations(of("a")).await.unwrap().next;
    assert!(token.is_some());
    for query in [of("b"), ConversationQuery { module: None, ..of("a") }] {
        let outcome = store.conversations(ConversationQuery { token: token.clone(), ..query }).await;
        assert!(matches!(outcome, Err(StoreError::BadToken)), "{outcome:?}");
    }
    let of = |module: &str| TurnQuery { module: Some(module.to_owned()), limit: 1, ..TurnQuery::default() };
    let token = store.turns(of("a")).await.unwrap().next;
    assert!(token.is_some());
    for query in [of("b"), TurnQuery { module: None, ..of("a") }] {
        let outcome = store.turns(TurnQuery { token: token.clone(), ..query }).await;
        assert!(matches!(outcome, Err(StoreError::BadToken)), "{outcome:?}");
    }
}

#[tokio::test]
async fn deleted_conversations_are_in_no_modules_list() {
    let place = place();
    let store = &*place.store;
    let first = query(1, "a", "b");
    let ended = AcceptTurn { start: Some(on_a_process()), ..query(1, "b", "a") };
    let kept = accept(store, first.clone()).await.turn;
    let accepted = accept(store, ended.clone()).await;
    finished(store, &accepted.turn, accepted.lease.unwrap()).await;
    let id = ended.conversation_id;
    // Upgraded before, so that the list it is taken from is that of its last modules.
    let upgrade = UpgradeConversation {
        id,
        seen_revision: 0,
        source_module: Some(module("c")),
        target_module: Some(module("a")),
        scene: scene_of("{}"),
        system_prompt: String::new(),
        model: None,
    };
    upgraded(store, upgrade).await;
    assert!(store.delete_conversation(id).await.unwrap());
    // The same ids without modules are in no list either.
    store.create_conversation(NewConversation { id, ..new_conversation() }).await.unwrap();
    accept(store, AcceptTurn { turn_id: ended.turn_id, ..request(id) }).await;
    for (name, expected) in [("a", 1), ("b", 1), ("c", 0)] {
        let module = Some(name.to_owned());
        let query = ConversationQuery { module: module.clone(), limit: 9, ..ConversationQuery::default() };
        assert_eq!(conversations(store, query).await.len(), expected, "{name}");
        let query = TurnQuery { module, limit: 9, ..TurnQuery::default() };
        let found: Vec<_> = turns(store, query).await.into_iter().map(|turn| turn.id).collect();
        assert_eq!(found, vec![kept.id; expected], "{name}");
    }
}
