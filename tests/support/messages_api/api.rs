//! The stand-in's server and the test's handle on it: which reply is next, what was asked, how each answer ended.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Response, StatusCode},
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Reply, Request,
    reply::{Fault, Kind, Message},
    stream,
};
use crate::wait::within;

/// Largest body that is read, in bytes: above any prompt a test sends.
const BODY_LIMIT_BYTES: usize = 256 << 20;

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Not yet.
    Open,
    /// Everything was written.
    Complete,
    /// An HTTP error was written.
    Refused,
    /// Cut in the middle, as the test asked.
    Cut,
    /// Ended by an `error` event, as the test asked.
    ErrorEvent,
    /// The caller hung up before the end.
    ListenerLeft,
}

#[derive(Debug)]
struct Rule {
    /// The reply is for requests whose last user text holds this.
    holds: Option<String>,
    reply: Reply,
    once: bool,
}

#[derive(Debug)]
struct Desk {
    rules: Vec<Rule>,
    otherwise: Reply,
    messages: Vec<(Request, Ending)>,
    count_tokens: usize,
    unexpected: Vec<String>,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    /// Counts changes of the desk, so that waiting needs no polling.
    changes: watch::Sender<u64>,
    tracker: TaskTracker,
}

/// A stand-in for the Messages API. Ends with its last handle's test.
#[derive(Debug)]
pub struct MessagesApi {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for MessagesApi {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl MessagesApi {
    /// Listens on a free port of 127.0.0.1; echoes the last user text until told otherwise.
    ///
    /// # Panics
    /// When loopback cannot be bound.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let desk = Desk {
            rules: Vec::new(),
            otherwise: Reply::echo(),
            messages: Vec::new(),
            count_tokens: 0,
            unexpected: Vec::new(),
        };
        let tracker = TaskTracker::new();
        let changes = watch::Sender::new(0);
        let shared = Arc::new(Shared { desk: Mutex::new(desk), changes, tracker: tracker.clone() });
        let stop = CancellationToken::new();
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let stopped = stop.clone();
        tracker.spawn(async move {
            tokio::select! {
                served = async { axum::serve(listener, router).await } => served.expect("loopback accepts"),
                () = stopped.cancelled() => {}
            }
        });
        Self { shared, address, stop }
    }

    /// What goes into `ANTHROPIC_BASE_URL`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the next request that no rule before this one takes.
    pub fn queue(&self, reply: Reply) {
        self.shared.desk().rules.push(Rule { holds: None, reply, once: true });
    }

    /// Answers the next request whose last user text holds `text`.
    pub fn queue_for(&self, text: impl Into<String>, reply: Reply) {
        self.shared.desk().rules.push(Rule { holds: Some(text.into()), reply, once: true });
    }

    /// Answers every request whose last user text holds `text`.
    pub fn always_for(&self, text: impl Into<String>, reply: Reply) {
        self.shared.desk().rules.push(Rule { holds: Some(text.into()), reply, once: false });
    }

    /// Answers what no rule takes.
    pub fn otherwise(&self, reply: Reply) {
        self.shared.desk().otherwise = reply;
    }

    /// All requests to `/v1/messages`, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.desk().messages.iter().map(|(request, _)| request.clone()).collect()
    }

    /// What users said in the request with this index.
    ///
    /// # Panics
    /// When there is no such request.
    #[must_use]
    pub fn user_texts(&self, index: usize) -> Vec<String> {
        self.shared.desk().messages[index].0.user_texts()
    }

    /// How the answer to the request with this index ended.
    ///
    /// # Panics
    /// When there is no such request.
    #[must_use]
    pub fn ending(&self, index: usize) -> Ending {
        self.shared.desk().messages[index].1
    }

    /// How often tokens were counted.
    #[must_use]
    pub fn count_tokens_calls(&self) -> usize {
        self.shared.desk().count_tokens
    }

    /// Requests to anything else, as `METHOD path`.
    #[must_use]
    pub fn unexpected(&self) -> Vec<String> {
        self.shared.desk().unexpected.clone()
    }

    /// Waits until `count` requests to `/v1/messages` have come.
    ///
    /// # Panics
    /// When they did not come in time.
    pub async fn wait_for_requests(&self, count: usize) {
        self.wait("requests to the Messages API", |desk| desk.messages.len() >= count).await;
    }

    /// Waits until the answer to the request with this index has ended, and says how.
    ///
    /// # Panics
    /// When it did not end in time.
    pub async fn wait_for_ending(&self, index: usize) -> Ending {
        self.wait("the end of an answer", |desk| {
            desk.messages.get(index).is_some_and(|(_, ending)| *ending != Ending::Open)
        })
        .await;
        self.ending(index)
    }

    async fn wait(&self, what: &str, is_so: impl Fn(&Desk) -> bool) {
        let mut changes = self.shared.changes.subscribe();
        let came = async { changes.wait_for(|_| is_so(&self.shared.desk())).await.is_ok() };
        assert!(within(what, came).await, "this handle keeps the sender");
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("no panic happens under this lock")
    }

    fn change<T>(&self, change: impl FnOnce(&mut Desk) -> T) -> T {
        let result = change(&mut self.desk());
        self.changes.send_modify(|count| *count += 1);
        result
    }

    fn end(&self, index: usize, ending: Ending) {
        self.change(|desk| desk.messages[index].1 = ending);
    }
}

impl Desk {
    fn take_reply(&mut self, request: &Request) -> Reply {
        let said = request.last_user_text();
        let fits = |rule: &Rule| rule.holds.as_ref().is_none_or(|text| said.contains(text));
        match self.rules.iter().position(fits) {
            None => self.otherwise.clone(),
            Some(index) if self.rules[index].once => self.rules.remove(index).reply,
            Some(index) => self.rules[index].reply.clone(),
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: axum::extract::Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    // A caller that leaves within its own request is nobody to answer.
    let Ok(body) = to_bytes(body, BODY_LIMIT_BYTES).await else {
        return json_response(400, &Value::Null);
    };
    match head.uri.path() {
        "/v1/messages" => message(&shared, Request::new(head.uri.to_string(), &head.headers, &body)).await,
        "/v1/messages/count_tokens" => {
            shared.change(|desk| desk.count_tokens += 1);
            json_response(200, &json!({"input_tokens": body.len() / 4}))
        }
        _ => {
            shared.change(|desk| desk.unexpected.push(format!("{} {}", head.method, head.uri)));
            json_response(
                404,
                &json!({"type": "error", "error": {"type": "not_found_error", "message": "Not found"}}),
            )
        }
    }
}

async fn message(shared: &Arc<Shared>, request: Request) -> Response<Body> {
    let (index, reply) = shared.change(|desk| {
        let reply = desk.take_reply(&request);
        desk.messages.push((request.clone(), Ending::Open));
        (desk.messages.len() - 1, reply)
    });
    // Until the head is sent, a caller who leaves drops this future: the guard notes it.
    let mut head = HeadGuard { shared, index, sent: false };
    if let Some(gate) = &reply.before_head {
        gate.pass().await;
    }
    let id = format!("msg_{index:06}");
    let response = match reply.kind {
        Kind::Silence => std::future::pending().await,
        Kind::Refusal(refusal) => {
            shared.end(index, Ending::Refused);
            let mut response = json_response(refusal.status, &stream::refusal(&refusal, &id));
            if let Some(seconds) = refusal.retry_after_seconds {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            response
        }
        Kind::Message(message) if request.streams() => streamed(shared, index, message, request, id),
        Kind::Message(message) => match stream::whole(&message, &request, &id) {
            Ok(body) => {
                shared.end(index, Ending::Complete);
                json_response(200, &body)
            }
            Err(Fault::Hang) => std::future::pending().await,
            Err(Fault::Cut | Fault::ErrorEvent) => {
                shared.end(index, Ending::Refused);
                json_response(
                    529,
                    &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
                )
            }
        },
    };
    head.sent = true;
    response
}

fn streamed(
    shared: &Arc<Shared>,
    index: usize,
    message: Message,
    request: Request,
    id: String,
) -> Response<Body> {
    let (body, pieces) = mpsc::channel(16);
    let playing = shared.clone();
    shared.tracker.spawn(async move {
        let ending = stream::play(&message, &request, &id, body).await;
        playing.end(index, ending);
    });
    let mut response = Response::new(Body::from_stream(stream::Pieces::new(pieces)));
    response.headers_mut().insert("content-type", axum::http::HeaderValue::from_static("text/event-stream"));
    response
}

struct HeadGuard<'a> {
    shared: &'a Shared,
    index: usize,
    sent: bool,
}

impl Drop for HeadGuard<'_> {
    fn drop(&mut self) {
        if !self.sent {
            self.shared.end(self.index, Ending::ListenerLeft);
        }
    }
}

fn json_response(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status of HTTP");
    response.headers_mut().insert("content-type", axum::http::HeaderValue::from_static("application/json"));
    response
}
