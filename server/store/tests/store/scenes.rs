//! Scenes: kept once for all conversations that share them, replaced in one conversation by an upgrade.

use claude_comms_store::{
    ConversationQuery, NewConversation, Store, StoreError, TurnQuery, UpgradeConversation,
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
async fn a_scene_outlives_the_conversations_that_share_it() {
    let place = place();
    let text = "{\"budget\":1}".repeat(10_000);
    let (first, second) = (between("shop", "billing", &text), between("shop", "billing", &text));
    for new in [&first, &second] {
        let made = place.store.create_conversation(new.clone()).await.unwrap();
        assert_eq!(made.scene, digest(&text));
        assert_eq!(place.store.conversation(new.id).await.unwrap(), Some(made));
    }
    let place = place.reopened().await;
    for new in [&first, &second] {
        assert_eq!(place.store.scene(digest(&text)).await.unwrap(), Some(text.clone()));
        assert!(place.store.delete_conversation(new.id).await.unwrap());
    }
    assert_eq!(place.store.scene(digest(&text)).await.unwrap(), Some(text.clone()));
    assert_eq!(place.store.scene(digest("another")).await.unwrap(), None);
}

#[tokio::test]
async fn a_conversation_without_modules_has_no_scene() {
    let place = place();
    let id = conversation(&*place.store).await;
    let kept = place.store.conversation(id).await.unwrap().unwrap();
    assert_eq!((kept.scene.as_str(), kept.scene_revision, kept.source_module), ("", 0, None));
}

#[tokio::test]
async fn an_upgrade_replaces_scene_prompt_and_versions_and_nothing_else() {
    let place = place();
    let new = between("shop", "billing", "{\"n\":1}");
    place.store.create_conversation(new.clone()).await.unwrap();
    let (turn, lease) = running(&*place.store, new.id).await;
    let before = place.store.conversation(new.id).await.unwrap().unwrap();
    let upgrade = to(&new, 0, "{\"n\":2}");
    let after = place.store.upgrade_conversation(upgrade.clone()).await.unwrap();
    let expected = claude_comms_model::Conversation {
        source_module: upgrade.source_module,
        target_module: upgrade.target_module,
        scene: digest("{\"n\":2}"),
        scene_revision: 1,
        system_prompt: "the second".to_owned(),
        ..before
    };
    assert_eq!(after, expected);
    let place = place.reopened().await;
    assert_eq!(place.store.conversation(new.id).await.unwrap(), Some(after));
    for text in ["{\"n\":1}", "{\"n\":2}"] {
        assert_eq!(place.store.scene(digest(text)).await.unwrap().as_deref(), Some(text));
    }
    assert_eq!(listed(&*place.store, "billing").await, (1, 1));
    // The turn that ran goes on under its lease.
    assert_eq!(place.store.turn(turn.id).await.unwrap().unwrap().epoch, lease.epoch);
    let without = UpgradeConversation { system_prompt: String::new(), ..to(&new, 1, "{\"n\":2}") };
    assert_eq!(place.store.upgrade_conversation(without).await.unwrap().scene_revision, 2);
    assert_eq!(place.store.conversation(new.id).await.unwrap().unwrap().system_prompt, "");
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
    assert_eq!(done[0].as_ref().unwrap(), &kept);
}

#[tokio::test]
async fn an_upgrade_to_other_modules_moves_the_conversation_and_its_turns() {
    let place = place();
    let store = &*place.store;
    let new = between("shop", "billing", "{\"n\":1}");
    store.create_conversation(new.clone()).await.unwrap();
    queued(store, new.id).await;
    queued(store, new.id).await;
    let upgrade = UpgradeConversation { target_module: Some(module("stock")), ..to(&new, 0, "{\"n\":2}") };
    store.upgrade_conversation(upgrade).await.unwrap();
    for (name, expected) in [("shop", (1, 2)), ("stock", (1, 2)), ("billing", (0, 0))] {
        assert_eq!(listed(store, name).await, expected, "{name}");
    }
    queued(store, new.id).await;
    assert_eq!(listed(store, "stock").await, (1, 3));
}
