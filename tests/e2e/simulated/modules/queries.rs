//! One module asks another: from the question to the end of its turn, and on in the same conversation.

use std::time::Duration;

use claude_comms_proto::v1::{
    CreateConversationRequest, ListConversationsRequest, ListTurnsRequest, SendMessageRequest, TurnState,
    turn_event::Event,
};
use claude_comms_tests::{TestServer, client::Heard};
use serde_json::json;
use tonic::Code;

use super::support::{conversation, descriptor, query, question, register, try_query, try_submit_query};
use crate::simulated::support::{
    HANG_ON_REQUEST, bad_input, completed, failed, playing_turns, refused, turns, wait,
};

#[tokio::test]
async fn a_question_streams_its_answer_up_to_completed() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let heard = query(&client, question("marker", "arangodb", "How do I store <tables> & \"graphs\"?")).await;
    assert!(matches!(heard.events[0].event, Some(Event::Accepted(_))), "{:?}", heard.events[0]);
    assert!(matches!(heard.events.last().unwrap().event, Some(Event::Completed(_))));
    let turn = heard.turn();
    assert_eq!(completed(turn), heard.text);
    assert_eq!(turn.prompt, "How do I store <tables> & \"graphs\"?", "the prompt is kept as it was asked");
    assert!(
        turn.message.contains("<question>\nHow do I store <tables> & \"graphs\"?\n</question>"),
        "{}",
        turn.message
    );
    assert_eq!(
        (turn.template.as_str(), turn.data.as_ref(), turn.data_json.as_str()),
        ("query@1.0.0", None, "")
    );
    let made = conversation(&client, &turn.conversation_id).await;
    assert_eq!((made.source_module.as_str(), made.target_module.as_str()), ("marker", "arangodb"));
    assert_eq!((made.turn_count, made.context_revision), (1, 0));
    assert!(
        !made.source_version.is_empty()
            && !made.target_version.is_empty()
            && made.title.starts_with("How do I")
    );
    for tag in ["<source>", "<target>", "<relationship>"] {
        assert!(made.system_prompt.contains(tag), "{tag} in {}", made.system_prompt);
    }
    assert!(
        heard.text.contains("I was told who I am: "),
        "the process has the system prompt: {}",
        heard.text
    );
}

#[tokio::test]
async fn a_person_may_ask_and_a_conversation_goes_on_with_follow_ups() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let first = query(&client, question("", "arangodb", "first question")).await;
    let id = first.turn().conversation_id.clone();
    let made = conversation(&client, &id).await;
    assert_eq!((made.source_module.as_str(), made.source_version.as_str()), ("", ""));
    for (number, target) in ["", "arangodb", ""].into_iter().enumerate() {
        let mut next = question("", target, &format!("later question {number}"));
        next.conversation_id.clone_from(&id);
        let heard = query(&client, next).await;
        let turn = heard.turn();
        assert_eq!((&turn.conversation_id, turn.template.as_str()), (&id, "follow_up@1.0.0"));
        assert!(
            completed(turn).contains(&format!("This is turn {} of our conversation", number + 2)),
            "{turn:?}"
        );
        assert_eq!(turn.instance_id, first.turn().instance_id, "on the process that is warm");
    }
    assert_eq!(conversation(&client, &id).await.system_prompt, made.system_prompt);
    assert_eq!(turns(&client, &id).await.len(), 4);
}

#[tokio::test]
async fn a_conversation_of_other_modules_is_refused() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let heard = query(&client, question("marker", "arangodb", "x")).await;
    let id = heard.turn().conversation_id.clone();
    let by_person = query(&client, question("", "arangodb", "x")).await.turn().conversation_id.clone();
    let plain = client.new_conversation().await;
    for (id, source, target, fields) in [
        (&id, "claude_mcp", "arangodb", &["source"][..]),
        (&id, "marker", "marker", &["target"]),
        (&id, "claude_mcp", "claude_mcp", &["source", "target"]),
        (&by_person, "marker", "arangodb", &["source"]),
        (&plain, "", "arangodb", &["conversation_id"]),
    ] {
        let mut asked = question(source, target, "y");
        asked.conversation_id.clone_from(id);
        bad_input(try_query(&client, asked.clone()).await, fields);
        bad_input(try_submit_query(&client, asked).await, fields);
    }
    let mut nowhere = question("", "arangodb", "y");
    nowhere.conversation_id = uuid::Uuid::new_v4().to_string();
    refused(try_query(&client, nowhere).await, Code::NotFound, "CONVERSATION_NOT_FOUND");
    assert_eq!(turns(&client, "").await.len(), 2, "nothing was asked");
}

#[tokio::test]
async fn a_question_in_the_background_is_waited_for() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let submitted = try_submit_query(&client, question("marker", "arangodb", "later")).await.unwrap();
    assert!(!submitted.conversation_id.is_empty() && submitted.message.contains("later"), "{submitted:?}");
    let ended = wait(&client, &submitted.id).await;
    assert!(completed(&ended).contains("[simulated]"));
    assert_eq!((&ended.message, &ended.template), (&submitted.message, &submitted.template));
}

#[tokio::test]
async fn the_targets_time_limit_ends_a_turn_and_a_given_timeout_wins() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    register(&client, &descriptor("slow", "1.0.0", json!({"limits": {"timeout": "400ms"}}))).await;
    let heard = query(&client, question("", "slow", "please hang")).await;
    assert!(failed(heard.turn(), "TURN_TIMEOUT").contains("400ms"), "{:?}", heard.turn());
    assert_eq!(heard.turn().partial_text, "Hanging");
    let id = heard.turn().conversation_id.clone();
    // In its conversation too, and by SendMessage.
    let message =
        SendMessageRequest { conversation_id: id, prompt: "please hang".into(), ..Default::default() };
    let mut heard = client.send_request(message).await.unwrap();
    failed(heard.to_end().await, "TURN_TIMEOUT");
    let mut asked = question("", "slow", "please hang");
    asked.timeout = Some(Duration::from_millis(1100).try_into().unwrap());
    let heard = query(&client, asked).await;
    assert!(failed(heard.turn(), "TURN_TIMEOUT").contains("1.1s"), "{:?}", heard.turn());
}

#[tokio::test]
async fn a_conversation_made_with_modules_takes_messages() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let create = CreateConversationRequest {
        title: "mine".into(),
        source_module: "marker".into(),
        target_module: "arangodb".into(),
        labels: [("a".into(), "b".into())].into(),
        ..Default::default()
    };
    let made = client.conversations.clone().create_conversation(create).await.unwrap().into_inner();
    assert!(
        made.system_prompt.contains("<target>") && made.title == "mine" && made.labels["a"] == "b",
        "{made:?}"
    );
    let ask = async |prompt: &str| -> Heard {
        let message = SendMessageRequest {
            conversation_id: made.id.clone(),
            prompt: prompt.into(),
            ..Default::default()
        };
        let mut heard = client.send_request(message).await.unwrap();
        heard.to_end().await;
        heard
    };
    let (first, second) = (ask("one").await, ask("two").await);
    assert_eq!(
        (first.turn().template.as_str(), second.turn().template.as_str()),
        ("query@1.0.0", "follow_up@1.0.0")
    );
    assert!(first.turn().message.contains("<question>\none\n</question>"), "{:?}", first.turn());
    let mut third = question("marker", "arangodb", "three");
    third.conversation_id.clone_from(&made.id);
    assert!(completed(query(&client, third).await.turn()).contains("This is turn 3"));
}

#[tokio::test]
async fn lists_can_be_narrowed_to_a_modules_conversations_and_turns() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    for (source, target) in [("marker", "arangodb"), ("", "arangodb"), ("claude_mcp", "marker")] {
        query(&client, question(source, target, "x")).await;
    }
    let plain = client.new_conversation().await;
    client.ask(&plain, "x").await;
    for (module, count) in [("arangodb", 2), ("marker", 2), ("claude_mcp", 1), ("nobody", 0)] {
        let list = ListConversationsRequest { module: module.into(), ..Default::default() };
        let found = client.conversations.clone().list_conversations(list).await.unwrap().into_inner();
        assert_eq!(found.conversations.len(), count, "{module}");
        let list = ListTurnsRequest { module: module.into(), ..Default::default() };
        let found = client.conversations.clone().list_turns(list).await.unwrap().into_inner();
        assert_eq!(found.turns.len(), count, "{module}");
        assert!(
            found.turns.iter().all(|turn| turn.state() == TurnState::Completed && turn.message.is_empty())
        );
    }
}
