//! Files that change while many ask: no question fails for it, and each sees one version whole.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex},
};

use claude_comms_tests::{Client, PATIENCE, eventually, within};
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    directories::{broken, watching},
    support::{conversation, descriptor, module, query, question},
};
use crate::simulated::support::completed;

const ASKERS: usize = 10;
const QUESTIONS: usize = 5;
/// How many versions must have been seen before the last question.
const VERSIONS: usize = 4;

/// A version that says its number in its role, its message and its constraint.
fn numbered(number: usize) -> String {
    let word = format!("number-{number}-");
    let message = format!("{{% extends \"builtin/query\" %}}{{% block before %}}{word}\n{{% endblock %}}");
    descriptor(
        "changing",
        "1.0.0",
        json!({"context": {
            "role": format!("You are {word}."),
            "constraints": [format!("Always say {word}.")],
            "templates": {"query": {"inline": message}},
        }}),
    )
    .to_string()
}

#[tokio::test]
async fn fifty_questions_while_a_descriptor_changes_each_see_one_whole_version() {
    let (server, dir) = watching().await;
    let client = server.client().await;
    let file = dir.join("changing.json");
    fs::write(&file, numbered(0)).unwrap();
    known(&client, 0).await;
    let versions = Arc::new(Mutex::new(BTreeSet::new()));
    let mut askers = JoinSet::new();
    for asker in 0..ASKERS {
        let (client, versions) = (client.clone(), Arc::clone(&versions));
        askers.spawn(async move {
            let mut number = 0;
            while number < QUESTIONS || versions.lock().unwrap().len() < VERSIONS {
                let heard =
                    query(&client, question("marker", "changing", &format!("{asker}/{number}"))).await;
                completed(heard.turn());
                let made = conversation(&client, &heard.turn().conversation_id).await;
                let version = one_version(&heard.turn().message, &made.system_prompt);
                versions.lock().unwrap().insert(version);
                number += 1;
            }
        });
    }
    let all_asked = Cell::new(false);
    let asking = async {
        while let Some(asker) = within("an asker", askers.join_next()).await {
            asker.unwrap();
        }
        all_asked.set(true);
    };
    let writing = async {
        let mut number = 0;
        while !all_asked.get() {
            number += 1;
            // Some in place, some renamed over, some broken.
            let is_broken = number % 4 == 0;
            match number % 4 {
                0 => fs::write(&file, "{ broken").unwrap(),
                1 | 3 => fs::write(&file, numbered(number)).unwrap(),
                _ => {
                    let other = file.with_extension("new");
                    fs::write(&other, numbered(number)).unwrap();
                    fs::rename(other, &file).unwrap();
                }
            }
            // Some follow each other at once, others when the server knows of the one before.
            match number % 3 {
                0 if is_broken => known_broken(&client).await,
                0 => known(&client, number).await,
                _ => {}
            }
        }
        fs::write(&file, numbered(1_000_000)).unwrap();
    };
    tokio::join!(asking, writing);
    known(&client, 1_000_000).await;
}

/// Awaits that the server has that version.
async fn known(client: &Client, number: usize) {
    let word = format!("number-{number}-");
    eventually(PATIENCE, &word, async || {
        let now = module(client, "changing").await.ok()?;
        (now.descriptor_json.contains(&word) && broken(client).await.is_empty()).then_some(())
    })
    .await;
}

/// Awaits that the server has found the file broken.
async fn known_broken(client: &Client) {
    eventually(PATIENCE, "the broken file", async || (!broken(client).await.is_empty()).then_some(())).await;
}

/// The version that a message and a system prompt are of; both of one.
fn one_version(message: &str, system_prompt: &str) -> String {
    let word = message.lines().next().unwrap().to_owned();
    assert!(word.starts_with("number-") && word.ends_with('-'), "{message}");
    for text in [format!("You are {word}."), format!("Always say {word}.")] {
        assert!(system_prompt.contains(&text), "{word}: {system_prompt}");
    }
    assert_eq!(system_prompt.matches("number-").count(), 2, "one version alone: {system_prompt}");
    word
}
