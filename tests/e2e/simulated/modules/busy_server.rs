//! Questions to a server that takes no more, and to instances: nothing is there by half, and prompts go as they are.

use claude_comms_proto::v1::{
    ListConversationsRequest, QueryInstanceRequest, StartInstanceRequest, UpgradeConversationRequest,
};
use claude_comms_tests::{Client, PATIENCE, client::Heard, eventually};
use tonic::Code;

use super::support::{conversation, query, question, register, try_query, try_submit_query, with_role};
use crate::simulated::support::{
    HANG_ON_REQUEST, cancel, completed, first_text, playing_turns, refused, start_instance, submit_running,
    turns,
};

async fn conversations(client: &Client) -> usize {
    let list = ListConversationsRequest::default();
    client.conversations.clone().list_conversations(list).await.unwrap().into_inner().conversations.len()
}

#[tokio::test]
async fn a_full_queue_refuses_a_question_and_no_conversation_is_made() {
    let server = playing_turns(HANG_ON_REQUEST)
        .configuration("pool:\n  max_instances: 1\n  max_queue: 1\n")
        .start()
        .await;
    let client = server.client().await;
    let mut running = try_query(&client, question("", "marker", "please hang")).await.unwrap();
    first_text(&mut running).await;
    let queued = try_submit_query(&client, question("", "marker", "queued")).await.unwrap();
    for _ in 0..3 {
        let more = question("", "marker", "too much");
        refused(try_query(&client, more.clone()).await, Code::ResourceExhausted, "QUEUE_FULL");
        refused(try_submit_query(&client, more).await, Code::ResourceExhausted, "QUEUE_FULL");
    }
    assert_eq!((conversations(&client).await, turns(&client, "").await.len()), (2, 2));
    cancel(&client, running.turn_id()).await;
    completed(&crate::simulated::support::wait(&client, &queued.id).await);
}

#[tokio::test]
async fn a_draining_server_refuses_a_question_and_makes_no_conversation() {
    let slow = "turns:\n  - { when: { contains: slow }, steps: [{ repeat: { text: \"slow \", count: 60, delay_ms: 10 } }] }\n";
    let mut server = playing_turns(slow).start().await;
    let client = server.client().await;
    let plain = client.new_conversation().await;
    let mut running = submit_running(&client, &plain, "slow").await;
    let mut accepted = 0;
    let (ran, ()) = tokio::join!(server.terminate(), async {
        let status = eventually(PATIENCE, "questions are refused", async || {
            match try_submit_query(&client, question("marker", "arangodb", "too late")).await {
                Ok(_) => {
                    accepted += 1;
                    None
                }
                Err(status) => Some(status),
            }
        })
        .await;
        refused(Err::<(), _>(status), Code::Unavailable, "DRAINING");
        running.to_end().await;
    });
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    server.restart().await;
    let client = server.client().await;
    assert_eq!(conversations(&client).await, 1 + accepted);
    for turn in turns(&client, "").await {
        completed(&crate::simulated::support::wait(&client, &turn.id).await);
    }
}

#[tokio::test]
async fn a_pinned_instance_of_a_module_conversation_knows_its_context_and_is_renewed_by_an_upgrade() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    register(&client, &with_role("one", "1.0.0", "first role")).await;
    let id = query(&client, question("marker", "one", "x")).await.turn().conversation_id.clone();
    let start =
        StartInstanceRequest { name: "mine".into(), conversation_id: id.clone(), ..Default::default() };
    client.instances.clone().start_instance(start).await.unwrap();
    let ask = async |prompt: &str| {
        let request = QueryInstanceRequest { id: "mine".into(), prompt: prompt.into(), ..Default::default() };
        let mut heard =
            Heard::new(client.instances.clone().query_instance(request).await.unwrap().into_inner());
        heard.to_end().await;
        heard
    };
    let characters = async || {
        let prompt = conversation(&client, &id).await.system_prompt;
        let told: String = prompt.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("({} characters)", told.chars().count())
    };
    let heard = ask("by the instance").await;
    assert!(heard.turn().message.is_empty(), "its prompt goes as it is: {:?}", heard.turn());
    assert!(completed(heard.turn()).contains("You asked: \"by the instance\""));
    assert!(heard.text.contains(&characters().await), "{}", heard.text);
    register(&client, &with_role("one", "1.0.0", "the second role, which is longer")).await;
    let request = UpgradeConversationRequest { id: id.clone() };
    client.conversations.clone().upgrade_conversation(request).await.unwrap();
    let heard = ask("by the instance, again").await;
    assert!(heard.text.contains(&characters().await), "{}", heard.text);
    assert!(heard.text.contains("This is turn 3"), "{}", heard.text);
    // An instance of a conversation without modules is as it was.
    let other = start_instance(&client, "other").await;
    completed(client.ask(&other.conversation_id, "x").await.turn());
}
