//! A conversation keeps what it began with, until somebody asks for the new.

use std::fs;

use claude_comms_proto::v1::{Conversation, QueryModuleRequest, UpgradeConversationRequest};
use claude_comms_tests::{Client, PATIENCE, TestServer, eventually, processes::is_alive};
use serde_json::json;
use tonic::{Code, Status};

use super::support::{
    conversation, descriptor, query, question, register, try_query, try_submit_query, unregister, with_role,
};
use crate::simulated::support::{
    HANG_ON_REQUEST, cancel, completed, first_text, playing_turns, refused, submit, wait,
};

async fn upgrade(client: &Client, id: &str) -> Result<Conversation, Status> {
    let request = UpgradeConversationRequest { id: id.into() };
    client.conversations.clone().upgrade_conversation(request).await.map(tonic::Response::into_inner)
}

fn within(id: &str, prompt: &str) -> QueryModuleRequest {
    QueryModuleRequest { conversation_id: id.into(), ..question("", "", prompt) }
}

/// A module whose messages and role both say which version they are of.
fn versioned(version: &str, word: &str) -> serde_json::Value {
    let message =
        format!("{{% extends \"builtin/query\" %}}{{% block before %}}template {word}\n{{% endblock %}}");
    let templates = json!({"query": {"inline": message}, "follow_up": {"inline": message}});
    descriptor(
        "one",
        version,
        json!({"context": {"role": format!("You are {word}."), "templates": templates}}),
    )
}

#[tokio::test]
async fn a_conversation_keeps_its_scene_while_its_module_changes_and_over_restarts() {
    let mut server = TestServer::simulated().start().await;
    let client = server.client().await;
    register(&client, &versioned("1.0.0", "first")).await;
    let id = query(&client, question("marker", "one", "x")).await.turn().conversation_id.clone();
    let before = conversation(&client, &id).await;
    register(&client, &versioned("1.0.0", "second")).await;
    for round in 0..3 {
        let client = server.client().await;
        let heard = query(&client, within(&id, &format!("round {round}"))).await;
        assert!(completed(heard.turn()).contains(&format!("This is turn {}", round + 2)));
        assert!(heard.turn().message.contains("template first"), "{:?}", heard.turn());
        let now = conversation(&client, &id).await;
        assert_eq!(
            (&now.system_prompt, &now.target_version),
            (&before.system_prompt, &before.target_version)
        );
        let new = query(&client, question("marker", "one", "x")).await;
        assert!(new.turn().message.contains(if round < 1 { "template second" } else { "template third" }));
        let made = conversation(&client, &new.turn().conversation_id).await;
        assert_eq!(made.target_version, if round < 1 { "1.0.0#2" } else { "2.0.0" });
        register(&client, &versioned("2.0.0", "third")).await;
        if round == 1 {
            server.kill9().await;
            server.restart().await;
        }
    }
}

#[tokio::test]
async fn an_upgrade_takes_the_new_context_on_a_new_process_that_remembers() {
    let mut server = TestServer::simulated().start().await;
    let client = server.client().await;
    register(&client, &versioned("1.0.0", "first")).await;
    let first = query(&client, question("marker", "one", "remember me")).await;
    let id = first.turn().conversation_id.clone();
    let old = conversation(&client, &id).await;
    let old_process = server.processes().claudes()[0].pid;
    // Nothing changed: nothing happens.
    assert_eq!(upgrade(&client, &id).await.unwrap(), old);

    register(&client, &versioned("2.0.0", "second")).await;
    let new = upgrade(&client, &id).await.unwrap();
    assert_eq!((new.context_revision, new.target_version.as_str(), new.turn_count), (1, "2.0.0", 1));
    assert!(new.system_prompt.contains("You are second.") && !new.system_prompt.contains("You are first."));
    assert_eq!(conversation(&client, &id).await, new);
    let heard = query(&client, within(&id, "do you remember?")).await;
    let text = completed(heard.turn());
    assert!(
        text.contains("This is turn 2") && text.contains("remember me"),
        "the memory is the same: {text}"
    );
    assert!(heard.turn().message.contains("template second"));
    let told: String = new.system_prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains(&format!("({} characters)", told.chars().count())),
        "its process is told the new prompt: {text}"
    );
    assert!(!is_alive(old_process), "on a new process");
    assert_eq!(server.processes().claudes().len(), 1);

    // It stays so after a restart, and a second upgrade counts on.
    server.kill9().await;
    server.restart().await;
    let client = server.client().await;
    assert_eq!(conversation(&client, &id).await.context_revision, 1);
    let heard = query(&client, within(&id, "and now?")).await;
    assert!(
        completed(heard.turn()).contains("This is turn 3")
            && heard.turn().message.contains("template second")
    );
    register(&client, &versioned("2.0.0", "third")).await;
    let third = upgrade(&client, &id).await.unwrap();
    assert_eq!((third.context_revision, third.target_version.as_str()), (2, "2.0.0#2"));
    completed(query(&client, within(&id, "again")).await.turn());
}

#[tokio::test]
async fn an_upgrade_keeps_the_overrides_that_the_conversation_was_made_with() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    register(&client, &versioned("1.0.0", "first")).await;
    let mut asked = question("marker", "one", "x");
    let instructions = Some("Always rhyme.".to_owned());
    asked.context_overrides =
        Some(claude_comms_proto::v1::ContextOverrides { instructions, ..Default::default() });
    let id = query(&client, asked).await.turn().conversation_id.clone();
    register(&client, &versioned("1.0.0", "second")).await;
    let new = upgrade(&client, &id).await.unwrap();
    assert!(new.system_prompt.contains("Always rhyme.") && new.system_prompt.contains("You are second."));
}

#[tokio::test]
async fn an_upgrade_is_refused_while_a_turn_runs_or_waits_and_where_there_is_no_module() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    register(&client, &with_role("one", "1.0.0", "first")).await;
    let mut running = try_query(&client, question("", "one", "please hang")).await.unwrap();
    first_text(&mut running).await;
    let Some(claude_comms_proto::v1::turn_event::Event::Accepted(accepted)) = running.events[0].event.clone()
    else {
        panic!("{running:?}")
    };
    let id = accepted.conversation_id;
    let queued = submit(&client, &id, "queued").await;
    register(&client, &with_role("one", "1.0.0", "second")).await;
    let status = refused(upgrade(&client, &id).await, Code::FailedPrecondition, "CONVERSATION_BUSY");
    assert!(status.message().contains(&id), "{status:?}");
    cancel(&client, running.turn_id()).await;
    completed(&wait(&client, &queued.id).await);
    assert_eq!(upgrade(&client, &id).await.unwrap().context_revision, 1);

    let plain = client.new_conversation().await;
    refused(upgrade(&client, &plain).await, Code::FailedPrecondition, "CONVERSATION_WITHOUT_MODULES");
    let nobody = uuid::Uuid::new_v4().to_string();
    refused(upgrade(&client, &nobody).await, Code::NotFound, "CONVERSATION_NOT_FOUND");
    unregister(&client, "one").await.unwrap();
    refused(upgrade(&client, &id).await, Code::NotFound, "MODULE_NOT_FOUND");
    completed(query(&client, within(&id, "still there")).await.turn());
}

#[tokio::test]
async fn a_conversation_keeps_its_templates_when_the_template_file_changes() {
    let builder = TestServer::simulated();
    let dir = builder.world().root().join("templates");
    fs::create_dir(&dir).unwrap();
    let template = |word: &str| {
        format!(
            "---\nversion: 1.0.0\n---\n{{% extends \"builtin/query\" %}}{{% block before %}}{word}\n{{% endblock %}}"
        )
    };
    fs::write(dir.join("follow_up.j2"), template("old words")).unwrap();
    let mut server = builder.arguments(&["--template-dir", dir.to_str().unwrap()]).start().await;
    let client = server.client().await;
    let id = query(&client, question("marker", "arangodb", "x")).await.turn().conversation_id.clone();
    fs::write(dir.join("follow_up.j2"), template("new words")).unwrap();
    eventually(PATIENCE, "the new template counts", async || {
        let other = query(&client, question("marker", "arangodb", "x")).await.turn().conversation_id.clone();
        let message = query(&client, within(&other, "y")).await.turn().message.clone();
        message.contains("new words").then_some(())
    })
    .await;
    for _ in 0..2 {
        let client = server.client().await;
        let heard = query(&client, within(&id, "y")).await;
        assert!(heard.turn().message.contains("old words"), "{:?}", heard.turn());
        server.kill9().await;
        server.restart().await;
    }
    let client = server.client().await;
    let new = upgrade(&client, &id).await.unwrap();
    assert_eq!(new.context_revision, 1);
    assert!(query(&client, within(&id, "z")).await.turn().message.contains("new words"));
}

#[tokio::test]
async fn an_upgrade_and_a_question_at_once_leave_one_context_that_counts() {
    let server = TestServer::simulated().start().await;
    let (client, other) = (server.client().await, server.client().await);
    register(&client, &versioned("1.0.0", "0")).await;
    let id = query(&client, question("marker", "one", "x")).await.turn().conversation_id.clone();
    let mut upgrades = 0;
    for round in 1..=20 {
        register(&client, &versioned("1.0.0", &"word ".repeat(round))).await;
        let (upgraded, asked) =
            tokio::join!(upgrade(&other, &id), try_submit_query(&client, within(&id, "at once")));
        match upgraded {
            Ok(_) => upgrades += 1,
            Err(status) => {
                refused(Err::<(), _>(status), Code::FailedPrecondition, "CONVERSATION_BUSY");
            }
        }
        completed(&wait(&client, &asked.unwrap().id).await);
        let now = conversation(&client, &id).await;
        assert_eq!(now.context_revision, upgrades);
        let heard = query(&client, within(&id, "and then")).await;
        let told: String = now.system_prompt.split_whitespace().collect::<Vec<_>>().join(" ");
        let characters = format!("({} characters)", told.chars().count());
        assert!(completed(heard.turn()).contains(&characters), "{characters}: {:?}", heard.turn());
    }
}
