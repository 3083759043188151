//! A server that keeps the contract of turns, behind a wire that a test can cut.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::fake_modules::FakeModules;
use claude_comms_client::{
    Client, TurnEvent, TurnUpdate,
    v1::{
        self, conversation_service_server::*, module_service_server::ModuleServiceServer, turn_event::Event,
    },
};
use tokio::{net::UnixListener, sync::watch, task::JoinSet};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, transport::Server};

/// What the turn does, in order. Every step but `Text` and `Queued` is durable.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Queued(u32),
    Started,
    Text(&'static str),
    Reset,
    /// A delta that claims to begin this many bytes later than it does, sent on the first connection only.
    Hole(u64),
    Completed,
    Failed(&'static str),
}

/// A turn that begins its answer anew.
pub(crate) const SCRIPT: &[Step] = &[
    Step::Queued(1),
    Step::Started,
    Step::Text("wrong "),
    Step::Text("start"),
    Step::Reset,
    Step::Text("Grüße, "),
    Step::Text("мир "),
    Step::Text("🌍"),
    Step::Text("!"),
    Step::Completed,
];
/// What it comes to.
pub(crate) const ANSWER: &str = "Grüße, мир 🌍!";

/// The script as the events of a turn; `accepted` comes by itself.
pub(crate) fn events(steps: &[Step]) -> Vec<v1::TurnEvent> {
    let mut text = String::new();
    let mut sequence = 1;
    let accepted = v1::TurnAccepted { conversation_id: "c".into(), request_id: "r".into() };
    let mut events = vec![event(sequence, Event::Accepted(accepted))];
    for step in steps {
        let durable = !matches!(step, Step::Queued(_) | Step::Text(_) | Step::Hole(_));
        sequence += u64::from(durable);
        let kind = match step {
            Step::Queued(position) => {
                Event::Queued(v1::TurnQueued { position: *position, ..Default::default() })
            }
            Step::Started => Event::Started(v1::TurnStarted { instance_id: "i".into(), attempt: 1 }),
            Step::Text(piece) => {
                let offset = text.len() as u64;
                text.push_str(piece);
                Event::TextDelta(v1::TextDelta { offset, text: (*piece).into() })
            }
            Step::Hole(bytes) => {
                Event::TextDelta(v1::TextDelta { offset: text.len() as u64 + bytes, text: "?".into() })
            }
            Step::Reset => {
                text.clear();
                Event::TextReset(v1::TextReset { reason: "retry".into() })
            }
            Step::Completed => Event::Completed(v1::TurnCompleted {
                turn: Some(turn(v1::TurnState::Completed, &text, None)),
            }),
            Step::Failed(reason) => {
                Event::Failed(v1::TurnFailed { turn: Some(turn(v1::TurnState::Failed, "", Some(reason))) })
            }
        };
        events.push(event(sequence, kind));
    }
    events
}

fn event(sequence: u64, event: Event) -> v1::TurnEvent {
    v1::TurnEvent { sequence, turn_id: "t".into(), time: None, event: Some(event) }
}

fn turn(state: v1::TurnState, text: &str, reason: Option<&str>) -> v1::Turn {
    v1::Turn {
        id: "t".into(),
        conversation_id: "c".into(),
        state: state.into(),
        text: text.into(),
        failure: reason.map(|reason| v1::TurnFailure { reason: reason.into(), message: "words".into() }),
        ..Default::default()
    }
}

/// What of the script a WatchTurn must bring.
pub(crate) fn rest(script: &[v1::TurnEvent], after: u64, held: u64) -> Vec<(usize, v1::TurnEvent)> {
    let mut epoch = 0;
    let last_reset_seen = script
        .iter()
        .filter(|e| matches!(e.event, Some(Event::TextReset(_))) && e.sequence <= after)
        .map(|e| e.sequence)
        .max()
        .unwrap_or(0);
    let mut rest = Vec::new();
    for (index, original) in script.iter().enumerate() {
        let mut event = original.clone();
        let wanted = match &mut event.event {
            Some(Event::TextDelta(delta)) => {
                if epoch == last_reset_seen {
                    let skip = held.saturating_sub(delta.offset).min(delta.text.len() as u64);
                    delta.text.drain(..skip as usize);
                    delta.offset += skip;
                }
                epoch >= last_reset_seen && !delta.text.is_empty()
            }
            Some(Event::Queued(_)) => event.sequence >= after,
            Some(Event::TextReset(_)) => {
                epoch = event.sequence;
                event.sequence > after
            }
            _ => event.sequence > after,
        };
        if wanted {
            rest.push((index, event));
        }
    }
    rest
}

/// What happens to the next call instead of an answer.
pub(crate) enum Mishap {
    /// The call is taken, then the wire is cut before a word is said.
    CutAfterTaking,
    /// The server says no.
    Refuse(Status),
}

/// The fake's memory, shared with the test.
pub(crate) struct State {
    pub(crate) script: Vec<v1::TurnEvent>,
    pub(crate) allowed: watch::Sender<usize>,
    cut: watch::Sender<u64>,
    pub(crate) mishaps: Mutex<VecDeque<Mishap>>,
    pub(crate) request_ids: Mutex<HashSet<String>>,
    pub(crate) calls: Mutex<HashMap<&'static str, u32>>,
    pub(crate) authorization: Mutex<Option<String>>,
    pub(crate) tasks: Mutex<JoinSet<()>>,
}

impl State {
    pub(crate) fn count(&self, call: &'static str) -> u32 {
        let mut calls = self.calls.lock().expect("lock");
        let count = calls.entry(call).or_default();
        *count += 1;
        *count
    }

    /// Breaks every connection there is.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    pub(crate) async fn mishap(&self) -> Result<(), Status> {
        let mishap = self.mishaps.lock().expect("lock").pop_front();
        match mishap {
            None => Ok(()),
            Some(Mishap::Refuse(status)) => Err(status),
            Some(Mishap::CutAfterTaking) => {
                self.cut();
                std::future::pending().await
            }
        }
    }

    /// The turn from its beginning.
    pub(crate) fn play_all(self: &Arc<Self>, first: bool) -> ReceiverStream<Result<v1::TurnEvent, Status>> {
        self.play(first, rest(&self.script, 0, 0))
    }

    fn play(
        self: &Arc<Self>,
        first: bool,
        events: Vec<(usize, v1::TurnEvent)>,
    ) -> ReceiverStream<Result<v1::TurnEvent, Status>> {
        let (send, receive) = tokio::sync::mpsc::channel(1);
        let mut allowed = self.allowed.subscribe();
        self.tasks.lock().expect("lock").spawn(async move {
            for (index, event) in events {
                let hole = matches!(&event.event, Some(Event::TextDelta(d)) if d.text == "?");
                let open = allowed.wait_for(|allowed| *allowed > index).await.is_ok();
                if (hole && !first) || !open {
                    continue;
                }
                if send.send(Ok(event)).await.is_err() {
                    return;
                }
            }
        });
        ReceiverStream::new(receive)
    }
}

pub(crate) struct Fake(Arc<State>);

#[tonic::async_trait]
impl ConversationService for Fake {
    type SendMessageStream = ReceiverStream<Result<v1::TurnEvent, Status>>;
    type WatchTurnStream = ReceiverStream<Result<v1::TurnEvent, Status>>;
    type WatchConversationStream = ReceiverStream<Result<v1::ConversationEvent, Status>>;

    async fn send_message(
        &self,
        request: Request<v1::SendMessageRequest>,
    ) -> Result<Response<Self::SendMessageStream>, Status> {
        let first = self.0.count("send_message") == 1;
        let request_id = request.into_inner().request_id;
        self.0.request_ids.lock().expect("lock").insert(request_id);
        self.0.mishap().await?;
        Ok(Response::new(self.0.play_all(first)))
    }

    async fn watch_turn(
        &self,
        request: Request<v1::WatchTurnRequest>,
    ) -> Result<Response<Self::WatchTurnStream>, Status> {
        self.0.count("watch_turn");
        self.0.mishap().await?;
        let request = request.into_inner();
        let events = rest(&self.0.script, request.after_sequence.unwrap_or(0), request.text_offset);
        Ok(Response::new(self.0.play(false, events)))
    }

    async fn wait_turn(&self, _: Request<v1::WaitTurnRequest>) -> Result<Response<v1::Turn>, Status> {
        self.0.count("wait_turn");
        self.0.mishap().await?;
        Ok(Response::new(turn(v1::TurnState::Completed, "done", None)))
    }

    async fn get_turn(&self, _: Request<v1::GetTurnRequest>) -> Result<Response<v1::Turn>, Status> {
        Ok(Response::new(turn(v1::TurnState::Running, "", None)))
    }

    async fn get_conversation(
        &self,
        request: Request<v1::GetConversationRequest>,
    ) -> Result<Response<v1::Conversation>, Status> {
        self.0.count("get_conversation");
        let token =
            request.metadata().get("authorization").map(|value| value.to_str().expect("ascii").to_owned());
        *self.0.authorization.lock().expect("lock") = token;
        self.0.mishap().await?;
        Ok(Response::new(v1::Conversation::default()))
    }

    async fn create_conversation(
        &self,
        _: Request<v1::CreateConversationRequest>,
    ) -> Result<Response<v1::Conversation>, Status> {
        self.0.count("create_conversation");
        self.0.mishap().await?;
        Ok(Response::new(v1::Conversation::default()))
    }

    async fn list_conversations(
        &self,
        _: Request<v1::ListConversationsRequest>,
    ) -> Result<Response<v1::ListConversationsResponse>, Status> {
        Err(Status::unimplemented("not of this fake"))
    }

    async fn submit_message(
        &self,
        _: Request<v1::SubmitMessageRequest>,
    ) -> Result<Response<v1::Turn>, Status> {
        Err(Status::unimplemented("not of this fake"))
    }

    async fn list_turns(
        &self,
        _: Request<v1::ListTurnsRequest>,
    ) -> Result<Response<v1::ListTurnsResponse>, Status> {
        Err(Status::unimplemented("not of this fake"))
    }

    async fn upgrade_conversation(
        &self,
        _: Request<v1::UpgradeConversationRequest>,
    ) -> Result<Response<v1::Conversation>, Status> {
        self.0.count("upgrade_conversation");
        self.0.mishap().await?;
        Ok(Response::new(v1::Conversation { context_revision: 1, ..Default::default() }))
    }

    async fn watch_conversation(
        &self,
        request: Request<v1::WatchConversationRequest>,
    ) -> Result<Response<Self::WatchConversationStream>, Status> {
        self.0.count("watch_conversation");
        self.0.mishap().await?;
        Ok(Response::new(self.0.watch(&request.into_inner())))
    }

    async fn cancel_turn(&self, _: Request<v1::CancelTurnRequest>) -> Result<Response<v1::Turn>, Status> {
        Err(Status::unimplemented("not of this fake"))
    }
}

/// A running fake; its tasks end with it.
pub(crate) struct Rig {
    pub(crate) state: Arc<State>,
    pub(crate) client: Client,
    front: std::path::PathBuf,
    _directory: tempfile::TempDir,
    wire: JoinSet<()>,
}

impl Rig {
    pub(crate) fn start(steps: &[Step]) -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let (front, back) = (directory.path().join("front.sock"), directory.path().join("back.sock"));
        let state = Arc::new(State {
            script: events(steps),
            allowed: watch::Sender::new(usize::MAX),
            cut: watch::Sender::new(0),
            mishaps: Mutex::default(),
            request_ids: Mutex::default(),
            calls: Mutex::default(),
            authorization: Mutex::default(),
            tasks: Mutex::default(),
        });
        let mut wire = JoinSet::new();
        let incoming = UnixListenerStream::new(UnixListener::bind(&back).expect("bind"));
        let service = ConversationServiceServer::new(Fake(state.clone()));
        let modules = ModuleServiceServer::new(FakeModules(state.clone()));
        wire.spawn(async move {
            let services = Server::builder().add_service(service).add_service(modules);
            services.serve_with_incoming(incoming).await.expect("serve");
        });
        let listener = UnixListener::bind(&front).expect("bind");
        let shared = state.clone();
        wire.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let (back, mut cut) = (back.clone(), shared.cut.subscribe());
                connections.spawn(async move {
                    let mut far = tokio::net::UnixStream::connect(back).await.expect("connect");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        let client = Client::builder()
            .endpoint(format!("unix:{}", front.display()))
            .reconnect_timeout(Duration::from_secs(20))
            .build()
            .expect("client");
        Self { state, client, front, _directory: directory, wire }
    }

    /// Takes the server away for good.
    pub(crate) async fn vanish(&mut self) {
        std::fs::remove_file(&self.front).expect("remove the socket");
        self.wire.shutdown().await;
        self.state.cut();
    }

    pub(crate) fn calls(&self, call: &str) -> u32 {
        self.state.calls.lock().expect("lock").get(call).copied().unwrap_or(0)
    }
}

/// Reads the text of the events and checks that each piece joins the one before.
pub(crate) fn joined(events: &[TurnEvent]) -> String {
    let mut text = String::new();
    for event in events {
        match &event.update {
            TurnUpdate::Text { offset, text: piece } => {
                assert_eq!(*offset, text.len() as u64, "a piece joins what is there: {events:#?}");
                text.push_str(piece);
            }
            TurnUpdate::Reset { .. } => text.clear(),
            _ => {}
        }
    }
    text
}
