//! Who gets a spare, and who does not.

use claude_comms_proto::v1::{
    CreateConversationRequest, PauseInstanceRequest, QueryInstanceRequest, StopInstanceRequest,
    turn_event::Event,
};
use claude_comms_tests::{PATIENCE, eventually, processes::is_alive};
use tokio::task::JoinSet;
use tonic::Code;

use super::{another, counts, instances, ready, serving, with_spares};
use crate::simulated::support::{completed, refused, start_instance, starts};

#[tokio::test]
async fn a_new_conversation_begins_on_the_spare_s_process_and_another_spare_is_made() {
    let server = with_spares("").start().await;
    let client = server.client().await;
    let spare = ready(&client, 1).await.remove(0);
    assert!(spare.conversation_id.is_empty() && spare.process_id != 0 && spare.memory_bytes > 0, "{spare:?}");
    let conversation = client.new_conversation().await;
    let heard = client.ask(&conversation, "hello").await;
    assert!(completed(heard.turn()).contains("hello"), "{heard:?}");
    assert_eq!((heard.turn().instance_id.as_str(), starts(&heard)), (spare.id.as_str(), 1));
    let serving = serving(&client, &conversation).await.expect("it has an instance");
    assert_eq!((serving.process_id, serving.process_generation, serving.spare), (spare.process_id, 1, false));

    let next = another(&client, &spare).await;
    assert_ne!(next.process_id, spare.process_id);
    // It stays that conversation's process.
    let again = client.ask(&conversation, "and again").await;
    assert!(completed(again.turn()).contains("turn 2 of our conversation"), "{again:?}");
    assert_eq!(again.turn().instance_id, spare.id);
    assert_eq!(ready(&client, 1).await[0].id, next.id, "nobody took it");
    let counts = counts(&client).await;
    assert_eq!((counts.spares, counts.wanted_spares, counts.spares_off.as_str()), (1, 1, ""));
    let figures = server.cli(&["status", "--output", "json"]).await.expect(0);
    assert_eq!(figures.json()["instances"], 2);
    let list = server.cli(&["list-instances"]).await.expect(0).stdout;
    assert!(list.contains("(spare)"), "{list}");
    let status = server.cli(&["status"]).await.expect(0).stdout;
    assert!(status.contains("1 of 1 ready"), "{status}");
}

#[tokio::test]
async fn conversations_that_begin_at_once_never_share_a_spare() {
    let server = with_spares("max_instances: 6").warm_spares(2).start().await;
    let client = server.client().await;
    ready(&client, 2).await;
    let mut asking = JoinSet::new();
    for number in 0..4 {
        let client = client.clone();
        asking.spawn(async move {
            let conversation = client.new_conversation().await;
            let heard = client.ask(&conversation, format!("question {number}")).await;
            let text = completed(heard.turn()).to_owned();
            assert!(text.contains(&format!("question {number}")) && text.contains("turn 1 of"), "{text}");
            heard.turn().instance_id.clone()
        });
    }
    let mut used = asking.join_all().await;
    used.sort();
    used.dedup();
    assert_eq!(used.len(), 4, "each has an instance of its own");
}

#[tokio::test]
async fn memory_another_model_and_started_instances_need_a_process_of_their_own() {
    let server = with_spares("idle_timeout: 300ms").start().await;
    let client = server.client().await;
    ready(&client, 1).await;
    let remembered = client.new_conversation().await;
    let first = client.ask(&remembered, "remember the heron").await;
    completed(first.turn());
    eventually(PATIENCE, "its process is reclaimed", async || {
        serving(&client, &remembered).await.is_none().then_some(())
    })
    .await;
    let spare = ready(&client, 1).await.remove(0);

    let text = completed(client.ask(&remembered, "what was it?").await.turn()).to_owned();
    assert!(text.contains("The one before asked: \"remember the heron\""), "{text}");
    let request =
        CreateConversationRequest { model: "another-model".into(), ..CreateConversationRequest::default() };
    let special = client.conversations.clone().create_conversation(request).await.unwrap().into_inner().id;
    completed(client.ask(&special, "hello").await.turn());
    let started = start_instance(&client, "mine").await;
    completed(client.ask(&started.conversation_id, "hello").await.turn());
    let still = ready(&client, 1).await.remove(0);
    assert_eq!((still.id, still.process_id), (spare.id, spare.process_id), "nobody took it");
}

#[tokio::test]
async fn a_spare_can_be_stopped_and_nothing_else_and_is_replaced() {
    let server = with_spares("").start().await;
    let client = server.client().await;
    let spare = ready(&client, 1).await.remove(0);
    let id = spare.id.clone();
    let pause = client.instances.clone().pause_instance(PauseInstanceRequest { id: id.clone() }).await;
    refused(pause, Code::FailedPrecondition, "INSTANCE_IS_SPARE");
    let query =
        QueryInstanceRequest { id: id.clone(), prompt: "x".into(), ..QueryInstanceRequest::default() };
    let query = client.instances.clone().query_instance(query).await;
    refused(query.map(|_| ()), Code::FailedPrecondition, "INSTANCE_IS_SPARE");
    let stop = StopInstanceRequest { id: id.clone(), ..StopInstanceRequest::default() };
    let stopped = client.instances.clone().stop_instance(stop).await.unwrap().into_inner();
    assert_eq!((stopped.id, stopped.process_id), (id, 0));
    assert!(!is_alive(spare.process_id));
    another(&client, &spare).await;
    assert_eq!(instances(&client).await.len(), 1);
}

#[tokio::test]
async fn an_events_stream_of_a_spare_goes_on_with_its_conversation_s_turn() {
    let server = with_spares("").start().await;
    let client = server.client().await;
    let spare = ready(&client, 1).await.remove(0);
    let conversation = client.new_conversation().await;
    let mut heard = client.send(&conversation, "hello").await.unwrap();
    let started = heard.until(|event| matches!(event, Event::Started(_))).await;
    heard.to_end().await;
    assert!(matches!(started.event, Some(Event::Started(started)) if started.instance_id == spare.id));
}
