//! Where these tests play: a server in front of the real Claude CLI, the stand-in for the Messages API behind it, and a
//! client. It knows the contract and nothing of the server's inside.

use std::{fs, path::PathBuf};

use claude_comms_proto::v1::{
    CancelTurnRequest, GetInstanceRequest, GetTurnRequest, Instance, InstanceState, ListInstancesRequest,
    QueryInstanceRequest, StartInstanceRequest, StopInstanceRequest, StopMode, SubmitMessageRequest, Turn,
    TurnState, WaitTurnRequest, WatchTurnRequest, turn_event::Event,
};
use claude_comms_tests::{
    Client, MessagesApi, PATIENCE, TestServer,
    client::Heard,
    eventually,
    processes::{self, Kind},
    server::Builder,
    within,
};
use rustix::process::Signal;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Each test holds one or two CLIs of about 200 MB and a core each; on a machine with many cores more tests than this
/// would only disturb each other.
static SEATS: Semaphore = Semaphore::const_new(4);

/// A server, its API and a client. Dropping it ends the server and checks that nothing is left of it.
pub(super) struct Stage {
    pub server: TestServer,
    pub client: Client,
    pub api: MessagesApi,
    _seat: SemaphorePermit<'static>,
}

impl Stage {
    pub(super) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(super) async fn with(build: impl FnOnce(Builder) -> Builder) -> Self {
        let seat = SEATS.acquire().await.unwrap();
        let api = MessagesApi::start().await;
        let server = build(TestServer::claude(&api)).start().await;
        let client = server.client().await;
        Self { server, client, api, _seat: seat }
    }

    /// Starts the killed or terminated server again.
    pub(super) async fn restart(&mut self) {
        self.server.restart().await;
        self.client = self.server.client().await;
    }

    /// A crash of the server: after it nothing may be left within five seconds.
    pub(super) async fn crash(&mut self) {
        self.server.kill9().await;
        self.server.processes().await_gone().await;
    }

    /// What users said in the last request, oldest first.
    pub(super) fn last_request_users(&self) -> Vec<String> {
        self.api.requests().last().expect("a request was made").user_texts()
    }

    /// The ID of the one CLI that runs.
    #[track_caller]
    pub(super) fn claude_pid(&self) -> u32 {
        let claudes = self.server.processes().of(Kind::Claude);
        let [claude] = claudes.as_slice() else { panic!("not exactly one CLI runs: {claudes:#?}") };
        claude.pid
    }

    /// `kill -9` of the one CLI that runs; returns once it is gone.
    pub(super) async fn kill_claude(&self) {
        let pid = self.claude_pid();
        processes::signal(pid, Signal::KILL);
        eventually(PATIENCE, "the killed CLI is gone", async || (!processes::is_alive(pid)).then_some(()))
            .await;
    }

    /// Waits until as many CLIs run.
    pub(super) async fn await_claudes(&self, count: usize) {
        let seen = async || (self.server.processes().of(Kind::Claude).len() == count).then_some(());
        eventually(PATIENCE, &format!("{count} CLIs run"), seen).await;
    }

    /// Waits until the server knows that no instance is left.
    pub(super) async fn await_no_instance(&self) {
        eventually(PATIENCE, "no instance", async || {
            let request = ListInstancesRequest::default();
            let list = self.client.instances.clone().list_instances(request).await.unwrap().into_inner();
            list.instances.is_empty().then_some(())
        })
        .await;
    }

    /// The session files the CLIs of this server write, with their content.
    pub(super) fn session_files(&self) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        let mut folders = vec![self.server.data_dir().join("instances")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "jsonl") {
                    let content = fs::read(&path).unwrap_or_default();
                    found.push((path, String::from_utf8_lossy(&content).into_owned()));
                }
            }
        }
        found
    }

    pub(super) async fn turn(&self, id: &str) -> Turn {
        let request = GetTurnRequest { id: id.into() };
        self.client.conversations.clone().get_turn(request).await.unwrap().into_inner()
    }

    pub(super) async fn wait_turn(&self, id: &str) -> Turn {
        let request = WaitTurnRequest { id: id.into() };
        within("the end of a turn", self.client.conversations.clone().wait_turn(request))
            .await
            .unwrap()
            .into_inner()
    }

    pub(super) async fn cancel(&self, id: &str) -> Turn {
        let request = CancelTurnRequest { id: id.into() };
        within("a cancelled turn", self.client.conversations.clone().cancel_turn(request))
            .await
            .unwrap()
            .into_inner()
    }

    pub(super) async fn submit(&self, conversation: &str, prompt: &str) -> Turn {
        let request = SubmitMessageRequest {
            conversation_id: conversation.into(),
            prompt: prompt.into(),
            ..SubmitMessageRequest::default()
        };
        self.client.conversations.clone().submit_message(request).await.unwrap().into_inner()
    }

    /// The whole turn, as it is kept.
    pub(super) async fn watch(&self, id: &str) -> Heard {
        let request = WatchTurnRequest { turn_id: id.into(), ..WatchTurnRequest::default() };
        let stream = self.client.conversations.clone().watch_turn(request).await.unwrap().into_inner();
        let mut heard = Heard::new(stream);
        heard.to_end().await;
        heard
    }

    /// Watches a turn until its prompt goes to a process.
    pub(super) async fn watch_until_started(&self, id: &str) {
        let request = WatchTurnRequest { turn_id: id.into(), ..WatchTurnRequest::default() };
        let stream = self.client.conversations.clone().watch_turn(request).await.unwrap().into_inner();
        Heard::new(stream).until(|event| matches!(event, Event::Started(_))).await;
    }

    pub(super) async fn start_instance(&self, name: &str, system_prompt: &str) -> Instance {
        let request = StartInstanceRequest {
            name: name.into(),
            system_prompt: system_prompt.into(),
            ..StartInstanceRequest::default()
        };
        within("a started instance", self.client.instances.clone().start_instance(request))
            .await
            .unwrap()
            .into_inner()
    }

    pub(super) async fn instance(&self, id: &str) -> Instance {
        let request = GetInstanceRequest { id: id.into() };
        self.client.instances.clone().get_instance(request).await.unwrap().into_inner()
    }

    pub(super) async fn await_state(&self, id: &str, state: InstanceState) -> Instance {
        eventually(PATIENCE, &format!("{id} is {state:?}"), async || {
            let instance = self.instance(id).await;
            (instance.state() == state).then_some(instance)
        })
        .await
    }

    pub(super) async fn stop_instance(&self, id: &str, mode: StopMode) -> Instance {
        let request = StopInstanceRequest { id: id.into(), mode: mode.into() };
        within("a stopped instance", self.client.instances.clone().stop_instance(request))
            .await
            .unwrap()
            .into_inner()
    }

    /// Sends a prompt to an instance, without waiting for its end.
    pub(super) async fn query(&self, id: &str, prompt: &str) -> Result<Heard, tonic::Status> {
        let request =
            QueryInstanceRequest { id: id.into(), prompt: prompt.into(), ..QueryInstanceRequest::default() };
        Ok(Heard::new(self.client.instances.clone().query_instance(request).await?.into_inner()))
    }
}

/// Hears until the text has this end.
pub(super) async fn hear_text(heard: &mut Heard, end: &str) {
    while !heard.text.ends_with(end) {
        assert!(heard.next().await.is_some(), "the turn ended before {end:?}: {:?}", heard.events);
    }
}

/// How many events fit.
pub(super) fn count(heard: &Heard, fits: impl Fn(&Event) -> bool) -> usize {
    heard.events.iter().filter(|event| event.event.as_ref().is_some_and(&fits)).count()
}

/// The one thing every turn has exactly once.
pub(super) fn is_terminal(event: &Event) -> bool {
    matches!(event, Event::Completed(_) | Event::Failed(_) | Event::Cancelled(_))
}

/// A turn that ended with this answer, as its stream and its record say.
#[track_caller]
pub(super) fn assert_answer(heard: &Heard, answer: &str) {
    let turn = heard.turn();
    assert_eq!(turn.state(), TurnState::Completed, "{turn:#?}");
    assert_eq!(turn.text, answer);
    assert_eq!(heard.text, answer, "the deltas since the last reset are the answer");
    assert_eq!((&turn.failure, turn.partial_text.as_str()), (&None, ""));
}

/// A turn that ended without an answer, for this reason.
#[track_caller]
pub(super) fn assert_failed(turn: &Turn, reason: &str) {
    assert_eq!(turn.state(), TurnState::Failed, "{turn:#?}");
    assert_eq!(turn.failure.as_ref().map(|failure| failure.reason.as_str()), Some(reason), "{turn:#?}");
    assert_eq!(turn.text, "", "no partial text is an answer");
}

/// A turn whose end somebody asked for, for this reason.
#[track_caller]
pub(super) fn assert_cancelled(turn: &Turn, reason: &str) {
    assert_eq!(turn.state(), TurnState::Cancelled, "{turn:#?}");
    assert_eq!(turn.failure.as_ref().map(|failure| failure.reason.as_str()), Some(reason), "{turn:#?}");
    assert_eq!(turn.text, "", "no partial text is an answer");
}
