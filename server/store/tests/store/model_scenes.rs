//! Accepting turns, and the scenes their messages are made from, on the store and on its model.

use claude_comms_store::{AcceptOutcome, AcceptTurn, Store, UpgradeConversation, UpgradeOutcome};

use crate::{
    model::said,
    model_state::{Model, Said},
    support::*,
};

/// How many scenes upgrades choose from: few, so that conversations share them.
pub(crate) const SCENES: usize = 3;

fn text(scene: usize) -> String {
    format!("{{\"n\":{scene}}}")
}

pub(crate) async fn accept_both(
    model: &mut Model,
    store: &dyn Store,
    at: usize,
    repeat: Option<usize>,
    other_payload: bool,
    start: bool,
    stale: bool,
) -> (Said, Said) {
    let conversation = model.conversations[at].clone();
    let mut wanted = if start { running_request(conversation.id) } else { request(conversation.id) };
    wanted.seen_scene_revision = conversation.scene_revision + u32::from(stale);
    if let Some(repeat) = repeat.filter(|_| !model.turns.is_empty()) {
        wanted.request_id = model.turns[repeat % model.turns.len()].request;
    }
    if other_payload {
        wanted = AcceptTurn { payload_hash: "0".repeat(64), ..wanted };
    }
    let mut of_it = model.turns.iter().filter(|turn| turn.conversation == at);
    let known = of_it.find(|turn| turn.request == wanted.request_id);
    let expected = match known {
        _ if conversation.gone => Said::NotFound,
        Some(turn) if turn.other_payload != other_payload => Said::OtherPayload,
        Some(_) => Said::Same,
        None if stale => Said::SceneChanged,
        None if start && model.runs(at) => Said::Conflict,
        None => Said::Done,
    };
    let outcome = accept_said(store, &wanted).await;
    if expected == Said::Done {
        model.accepted(&wanted, at, other_payload);
    }
    (expected, outcome)
}

async fn accept_said(store: &dyn Store, wanted: &AcceptTurn) -> Said {
    match store.accept_turn(wanted.clone()).await {
        Ok(AcceptOutcome::Same(_)) => Said::Same,
        Ok(AcceptOutcome::OtherPayload(_)) => Said::OtherPayload,
        Ok(AcceptOutcome::SceneChanged) => Said::SceneChanged,
        other => said(other),
    }
}

/// A query: makes its conversation, unless its request is known in the pair.
pub(crate) async fn query_both(
    model: &mut Model,
    store: &dyn Store,
    repeat: Option<usize>,
    other_payload: bool,
    start: bool,
) -> (Said, Said) {
    let mut wanted = AcceptTurn { start: start.then(on_a_process), ..query(17, "shop", "billing") };
    if let Some(repeat) = repeat.filter(|_| !model.turns.is_empty()) {
        wanted.request_id = model.turns[repeat % model.turns.len()].request;
    }
    if other_payload {
        wanted = AcceptTurn { payload_hash: "0".repeat(64), ..wanted };
    }
    let mut there =
        model.turns.iter().filter(|turn| turn.queried && !model.conversations[turn.conversation].gone);
    let expected = match there.find(|turn| turn.request == wanted.request_id) {
        Some(turn) if turn.other_payload != other_payload => Said::OtherPayload,
        Some(_) => Said::Same,
        None => Said::Done,
    };
    if expected == Said::Done {
        let scene = wanted.new_conversation.as_ref().and_then(|new| new.scene.clone());
        model.made(wanted.conversation_id, scene.map(|scene| scene.json));
        model.accepted(&wanted, model.conversations.len() - 1, other_payload);
    }
    (expected, accept_said(store, &wanted).await)
}

pub(crate) async fn upgrade_both(
    model: &mut Model,
    store: &dyn Store,
    at: usize,
    scene: usize,
    stale: bool,
) -> (Said, Said) {
    let expected = match &model.conversations[at] {
        gone if gone.gone => Said::NotFound,
        _ if stale => Said::Conflict,
        _ if model.is_open(at) => Said::Busy,
        _ => Said::Done,
    };
    let conversation = &mut model.conversations[at];
    let upgrade = UpgradeConversation {
        id: conversation.id,
        seen_revision: conversation.scene_revision + u32::from(stale),
        source_module: conversation.modules.then(|| module("shop")),
        target_module: conversation.modules.then(|| module("billing")),
        scene: scene_of(&text(scene)),
        system_prompt: String::new(),
        model: None,
    };
    if expected == Said::Done {
        conversation.scene = Some(text(scene));
        conversation.scene_revision += 1;
    }
    let outcome = match store.upgrade_conversation(upgrade).await {
        Ok(UpgradeOutcome::Busy) => Said::Busy,
        other => said(other),
    };
    (expected, outcome)
}

/// The scenes of conversations are there, and no others.
pub(crate) async fn compare_scenes(model: &Model, store: &dyn Store) {
    let of_queries = query(17, "shop", "billing").new_conversation.unwrap().scene.unwrap().json;
    for scene in (0..SCENES).map(text).chain([of_queries]) {
        let mut there = model.conversations.iter().filter(|conversation| !conversation.gone);
        let expected = there.any(|conversation| conversation.scene.as_ref() == Some(&scene));
        assert_eq!(store.scene(digest(&scene)).await.unwrap(), expected.then_some(scene));
    }
    for conversation in model.conversations.iter().filter(|conversation| !conversation.gone) {
        let record = store.conversation(conversation.id).await.unwrap().unwrap();
        let scene = conversation.scene.as_deref().map_or(String::new(), digest);
        assert_eq!((record.scene, record.scene_revision), (scene, conversation.scene_revision));
    }
}
