//! Scenes: kept once for all conversations that share them, replaced in one conversation by an upgrade.

use claude_comms_store::{
    AcceptOutcome, AcceptTurn, ConversationQuery, NewConversation, Store, StoreError, TurnQuery,
    UpgradeConversation, UpgradeOutcome,
};

use crate::support::*;

fn between(source: &str, target: &str, scene: &str) -> NewConversation {
    NewConversation {
        source_module: Some(module(source)),
        target_module: Some(module(target)),
        scene: Some(scene_of(scene)),
        system_prompt: "the first".to_owned(),
        ..new_conversation()
    }
}

fn to(new: &NewConversation, seen_revision: u32, scene: &str) -> UpgradeConversation {
    let newer = |module: claude_comms_model::ModuleRef| claude_comms_model::ModuleRef {
        version: "2.0.0".to_owned(),
        ..module
    };
    UpgradeConversation {
        id: new.id,
        seen_revision,
        source_module: new.source_module.clone().map(newer),
        target_module: new.target_module.clone().map(newer),
        scene: scene_of(scene),
        system_prompt: "the second".to_owned(),
        model: Some("the newer".to_owned()),
    }
}

async fn has(store: &dyn Store, scene: &str) -> bool {
    match store.scene(digest(scene)).await.unwrap() {
        Some(text) => {
            assert_eq!(text, scene);
            true
        }
        None => false,
    }
}

async fn listed(store: &dyn Store, module: &str) -> (usize, usize) {
    let module = Some(module.to_owned());
    let query = ConversationQuery { module: module.clone(), limit: 100, ..ConversationQuery::default() };
    let conversations = store.conversations(query).await.unwrap().items.len();
    let query = TurnQuery { module, limit: 100, ..TurnQuery::default() };
    (conversations, store.turns(query).await.unwrap().items.len())
}

#[tokio::test]
async fn a_scene_goes_with_the_last_conversation_that_has_it() {
    let mut place = place();
    let text = "{\"budget\":1}".repeat(10_000);
    let (first, second) = (between("shop", "billing", &text), between("stock", "billing", &text));
    for new in [&first, &second] {
        let made = place.store.create_conversation(new.clone()).await.unwrap();
        assert_eq!(made.scene, digest(&text));
        assert_eq!(place.store.conversation(new.id).await.unwrap(), Some(made));
    }
    for (new, left) in [(&first, true), (&second, false)] {
        place = place.reopened().await;
        assert!(has(&*place.store, &text).await);
        assert!(place.store.delete_conversation(new.id).await.unwrap());
        assert_eq!(has(&*place.store, &text).await, left);
    }
    // It comes again with whoever needs it next.
    place.store.create_conversation(NewConversation { id: first.id, ..first }).await.unwrap();
    assert!(has(&*place.store, &text).await);
    assert!(!has(&*place.store, "another").await);
}

#[tokio::test]
async fn an_upgrade_takes_the_old_scene_along_if_nobody_else_has_it() {
    let place = place();
    let store = &*place.store;
    let (one, two, three) = ("{\"n\":1}", "{\"n\":2}", "{\"n\":3}");
    let (first, second) = (between("shop", "billing", one), between("shop", "billing", one));
    for new in [&first, &second] {
        store.create_conversation(new.clone()).await.unwrap();
    }
    let mut expected = Vec::new();
    for (new, seen, scene) in [(&first, 0, two), (&second, 0, three), (&second, 1, two), (&second, 2, two)] {
        upgraded(store, to(new, seen, scene)).await;
        expected.push((has(store, one).await, has(store, two).await, has(store, three).await));
    }
    let last = (false, true, false);
    assert_eq!(expected, [(true, true, false), (false, true, true), last, last]);
    for (new, left) in [(&first, true), (&second, false)] {
        assert!(store.delete_conversation(new.id).await.unwrap());
        assert_eq!(has(store, two).await, left);
    }
}

#[tokio::test]
async fn a_conversation_without_a_scene_takes_one_by_upgrade() {
    let place = place();
    let store = &*place.store;
    let new = new_conversation();
    store.create_conversation(new.clone()).await.unwrap();
    upgraded(store, to(&new, 0, "{}")).await;
    assert!(has(store, "{}").await);
    assert!(store.delete_conversation(new.id).await.unwrap());
    assert!(!has(store, "{}").await);
}

#[tokio::test]
async fn a_conversation_without_modules_has_no_scene() {
    let place = place();
    let id = conversation(&*place.store).await;
    let kept = place.store.conversation(id).await.unwrap().unwrap();
    assert_eq!((kept.scene.as_str(), kept.scene_revision, kept.source_module), ("", 0, None));
}

#[tokio::test]
async fn an_upgrade_replaces_scene_prompt_model_and_versions_and_nothing_else() {
    let place = place();
    let new = between("shop", "billing", "{\"n\":1}");
    place.store.create_conversation(new.clone()).await.unwrap();
    let (turn, lease) = running(&*place.store, new.id).await;
    finished(&*place.store, &turn, lease).await;
    let before = place.store.conversation(new.id).await.unwrap().unwrap();
    let upgrade = to(&new, 0, "{\"n\":2}");
    let after = upgraded(&*place.store, upgrade.clone()).await;
    let expected = claude_comms_model::Conversation {
        source_module: upgrade.source_module,
        target_module: upgrade.target_module,
        scene: digest("{\"n\":2}"),
        scene_revision: 1,
        system_prompt: "the second".to_owned(),
        model: Some("the newer".to_owned()),
        ..before
    };
    assert_eq!(after, expected);
    let place = place.reopened().await;
    assert_eq!(place.store.conversation(new.id).await.unwrap(), Some(after));
    assert!(has(&*place.store, "{\"n\":2}").await);
    assert_eq!(listed(&*place.store, "billing").await, (1, 1));
    let without =
        UpgradeConversation { system_prompt: String::new(), model: None, ..to(&new, 1, "{\"n\":2}") };
    assert_eq!(upgraded(&*place.store, without).await.scene_revision, 2);
    let kept = place.store.conversation(new.id).await.unwrap().unwrap();
    assert_eq!((kept.system_prompt.as_str(), kept.model), ("", None));
}

#[tokio::test]
async fn a_conversation_is_not_upgraded_under_a_turn_that_waits_or_runs() {
    let place = place();
    let store = &*place.store;
    let new = between("shop", "billing", "{\"n\":1}");
    store.create_conversation(new.clone()).await.unwrap();
    let before = store.conversation(new.id).await.unwrap().unwrap();
    // The turns of others do not count.
    queued(store, conversation(store).await).await;
    let busy = || async {
        let record = store.conversation(new.id).await.unwrap();
        let outcome = store.upgrade_conversation(to(&new, 0, "{\"n\":2}")).await.unwrap();
        assert_eq!(outcome, UpgradeOutcome::Busy);
        assert_eq!(store.conversation(new.id).await.unwrap(), record);
        assert!(!has(store, "{\"n\":2}").await);
        assert!(has(store, "{\"n\":1}").await);
    };
    let (turn, next) = (queued(store, new.id).await, queued(store, new.id).await);
    busy().await;
    let started = store.start_turn(turn.id, on_a_process()).await.unwrap();
    busy().await;
    store.requeue_turn(started.lease, turn.id, 1, retrying()).await.unwrap();
    busy().await;
    let started = store.start_turn(turn.id, on_a_process()).await.unwrap();
    finished(store, &started.turn, started.lease).await;
    busy().await;
    // Somebody who has not seen the last upgrade is told that first.
    let moved = store.upgrade_conversation(to(&new, 1, "{\"n\":2}")).await;
    assert!(matches!(moved, Err(StoreError::Conflict(_))), "{moved:?}");
    store.finish_turn(fail(&next, None)).await.unwrap();
    let after = upgraded(store, to(&new, 0, "{\"n\":2}")).await;
    assert_eq!((before.scene_revision, after.scene_revision), (0, 1));
}

#[tokio::test]
async fn a_message_made_from_another_scene_is_not_accepted() {
    let place = place();
    let store = &*place.store;
    let new = between("shop", "billing", "{\"n\":1}");
    store.create_conversation(new.clone()).await.unwrap();
    let first = AcceptTurn { asked: Some(Box::new(asked("why?"))), ..running_request(new.id) };
    let accepted = accept(store, first.clone()).await;
    finished(store, &accepted.turn, accepted.lease.unwrap()).await;
    upgraded(store, to(&new, 0, "{\"n\":2}")).await;
    let record = store.conversation(new.id).await.unwrap();
    for seen_scene_revision in [0, 2] {
        for wanted in [request(new.id), running_request(new.id)] {
            let stale = AcceptTurn { seen_scene_revision, ..wanted };
            assert_eq!(store.accept_turn(stale.clone()).await.unwrap(), AcceptOutcome::SceneChanged);
            assert_eq!(store.turn(stale.turn_id).await.unwrap(), None);
            assert_eq!(store.turn_of_request(stale.scope, stale.request_id).await.unwrap(), None);
            assert_eq!(store.conversation(new.id).await.unwrap(), record);
            assert_eq!(store.unfinished_turns().await.unwrap(), []);
        }
    }
    // A request that was accepted before the upgrade is known still.
    let known = store.turn(first.turn_id).await.unwrap().unwrap();
    assert_eq!(store.accept_turn(first.clone()).await.unwrap(), AcceptOutcome::Same(Box::new(known)));
    let other = AcceptTurn { payload_hash: "0".repeat(64), ..first.clone() };
    assert_eq!(store.accept_turn(other).await.unwrap(), AcceptOutcome::OtherPayload(first.turn_id));
    // The same request, made anew from what is there now, is.
    accept(store, AcceptTurn { seen_scene_revision: 1, ..request(new.id) }).await;
    // What is made with its turn has nothing to compare with.
    accept(store, AcceptTurn { seen_scene_revision: 7, ..query(17, "shop", "billing") }).await;
}

#[tokio::test]
async fn of_an_upgrade_and_a_turn_at_the_same_time_the_later_one_is_told() {
    let place = place();
    let store = &*place.store;
    for upgrade_first in [true, false] {
        let new = between("shop", "billing", "{\"n\":1}");
        store.create_conversation(new.clone()).await.unwrap();
        // Both are with the writer before it answers one.
        let upgrade = store.upgrade_conversation(to(&new, 0, "{\"n\":2}"));
        let accept = store.accept_turn(request(new.id));
        let (upgraded, accepted) = if upgrade_first {
            tokio::join!(upgrade, accept)
        } else {
            let (accepted, upgraded) = tokio::join!(accept, upgrade);
            (upgraded, accepted)
        };
        match (upgraded.unwrap(), accepted.unwrap()) {
            (UpgradeOutcome::Upgraded(_), AcceptOutcome::SceneChanged) => assert!(upgrade_first),
            (UpgradeOutcome::Busy, AcceptOutcome::Accepted(_)) => assert!(!upgrade_first),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_upgrade_of_what_somebody_else_upgraded_is_refused() {
    let place = place();
    let new = between("shop", "billing", "{\"n\":1}");
    let nobody = place.store.upgrade_conversation(to(&new, 0, "{\"n\":2}")).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { .. })), "{nobody:?}");
    assert_eq!(place.store.scene(digest("{\"n\":2}")).await.unwrap(), None);
    place.store.create_conversation(new.clone()).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for count in 0..16 {
        let (store, upgrade) = (place.store.clone(), to(&new, 0, &format!("{{\"by\":{count}}}")));
        tasks.spawn(async move { store.upgrade_conversation(upgrade).await });
    }
    let (done, refused): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 15));
    assert!(refused.iter().all(|outcome| matches!(outcome, Err(StoreError::Conflict(_)))), "{refused:?}");
    let kept = place.store.conversation(new.id).await.unwrap().unwrap();
    assert_eq!(done[0].as_ref().unwrap(), &UpgradeOutcome::Upgraded(Box::new(kept)));
}

#[tokio::test]
async fn an_upgrade_to_other_modules_moves_the_conversation_and_its_turns() {
    let place = place();
    let store = &*place.store;
    let new = between("shop", "billing", "{\"n\":1}");
    store.create_conversation(new.clone()).await.unwrap();
    for _ in 0..2 {
        let (turn, lease) = running(store, new.id).await;
        finished(store, &turn, lease).await;
    }
    let upgrade = UpgradeConversation { target_module: Some(module("stock")), ..to(&new, 0, "{\"n\":2}") };
    upgraded(store, upgrade).await;
    for (name, expected) in [("shop", (1, 2)), ("stock", (1, 2)), ("billing", (0, 0))] {
        assert_eq!(listed(store, name).await, expected, "{name}");
    }
    accept(store, AcceptTurn { seen_scene_revision: 1, ..request(new.id) }).await;
    assert_eq!(listed(store, "stock").await, (1, 3));
}
