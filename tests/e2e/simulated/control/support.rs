//! Short words for what operators do. It checks nothing of its own.

use claude_comms_proto::v1::{
    CreateConversationRequest, GetInstanceRequest, Instance, InstanceState, InterruptInstanceRequest,
    PauseInstanceRequest, QueryInstanceRequest, ResumeInstanceRequest, StartInstanceRequest,
    StopInstanceRequest, StopMode,
};
use claude_comms_tests::{Client, PATIENCE, client::Heard, eventually, processes, within};
use tonic::Status;

/// `hang` begins to answer and stays, `slow` answers for about a second; all others get the default answer.
pub(super) const TURNS: &str = "turns:
  - { when: { contains: hang }, steps: [{ text: Hanging }, hang] }
  - { when: { contains: slow }, steps: [{ repeat: { text: slow, count: 50, delay_ms: 20 } }] }
";

/// Starts an instance for a conversation with a built-in module, which every RPC that takes turns takes turns of.
pub(super) async fn start_with_module(client: &Client, name: &str) -> Instance {
    let request = CreateConversationRequest { target_module: "arangodb".into(), ..Default::default() };
    let conversation = client.conversations.clone().create_conversation(request).await.unwrap().into_inner();
    let request = StartInstanceRequest {
        name: name.into(),
        conversation_id: conversation.id,
        ..StartInstanceRequest::default()
    };
    within("a started instance", client.instances.clone().start_instance(request)).await.unwrap().into_inner()
}

pub(super) async fn try_pause(client: &Client, id: &str) -> Result<Instance, Status> {
    let request = PauseInstanceRequest { id: id.into() };
    within("a paused instance", client.instances.clone().pause_instance(request))
        .await
        .map(tonic::Response::into_inner)
}

pub(super) async fn pause(client: &Client, id: &str) -> Instance {
    try_pause(client, id).await.expect("it pauses")
}

pub(super) async fn try_resume(client: &Client, id: &str) -> Result<Instance, Status> {
    let request = ResumeInstanceRequest { id: id.into() };
    within("a resumed instance", client.instances.clone().resume_instance(request))
        .await
        .map(tonic::Response::into_inner)
}

pub(super) async fn resume(client: &Client, id: &str) -> Instance {
    try_resume(client, id).await.expect("it goes on")
}

pub(super) async fn try_interrupt(client: &Client, id: &str) -> Result<Instance, Status> {
    let request = InterruptInstanceRequest { id: id.into() };
    within("an interrupted instance", client.instances.clone().interrupt_instance(request))
        .await
        .map(tonic::Response::into_inner)
}

pub(super) async fn try_stop(client: &Client, id: &str, mode: StopMode) -> Result<Instance, Status> {
    let request = StopInstanceRequest { id: id.into(), mode: mode.into() };
    within("a stopped instance", client.instances.clone().stop_instance(request))
        .await
        .map(tonic::Response::into_inner)
}

pub(super) async fn try_query(client: &Client, id: &str, prompt: &str) -> Result<Heard, Status> {
    let request =
        QueryInstanceRequest { id: id.into(), prompt: prompt.into(), ..QueryInstanceRequest::default() };
    Ok(Heard::new(client.instances.clone().query_instance(request).await?.into_inner()))
}

pub(super) async fn instance(client: &Client, id: &str) -> Instance {
    let request = GetInstanceRequest { id: id.into() };
    client.instances.clone().get_instance(request).await.unwrap().into_inner()
}

pub(super) async fn await_state(client: &Client, id: &str, state: InstanceState) -> Instance {
    eventually(PATIENCE, &format!("{id} is {state:?}"), async || {
        let instance = instance(client, id).await;
        (instance.state() == state).then_some(instance)
    })
    .await
}

/// The state letter of a process; `T` is stopped.
pub(super) fn letter(pid: u32) -> char {
    processes::read(pid).expect("the process lives").state
}

/// A process that gets a signal stops a moment later.
pub(super) async fn await_stopped(pid: u32) {
    eventually(PATIENCE, "the process is stopped", async || (letter(pid) == 'T').then_some(())).await;
}
