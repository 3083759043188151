//! What clients were told, and whether the server stands by it: every accepted turn is there, once, with one end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use claude_comms_proto::v1::{Turn, TurnState, turn_event::Event};
use claude_comms_tests::{Client, client::reason};
use tokio::{sync::watch, task::JoinSet};
use tonic::Status;

use crate::simulated::{support, turns};

/// What a cut connection is called.
const WIRE: &str = "(wire)";

/// Turns looked at at a time.
const SIDE_BY_SIDE: usize = 16;

#[derive(Debug, Default)]
struct Book {
    /// Turns of each request, as clients were told.
    requests: BTreeMap<String, BTreeSet<String>>,
    /// Turns that were accepted, by the source that asked.
    accepted: BTreeMap<String, String>,
    /// How long each source's turns took, from asking to their end.
    took: BTreeMap<String, Vec<Duration>>,
    /// Calls that failed, by code and reason.
    refusals: BTreeMap<(String, String), usize>,
}

/// The accounts that all clients share.
#[derive(Debug, Clone)]
pub(super) struct Accounts {
    book: Arc<Mutex<Book>>,
    ended: watch::Sender<usize>,
}

impl Accounts {
    pub(super) fn new() -> Self {
        Self { book: Arc::default(), ended: watch::Sender::new(0) }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no panic happens under this lock")
    }

    /// A client was told that its request is this turn.
    pub(super) fn accepted(&self, source: &str, request: &str, turn: &str) {
        let mut book = self.book();
        book.requests.entry(request.to_owned()).or_default().insert(turn.to_owned());
        book.accepted.insert(turn.to_owned(), source.to_owned());
    }

    /// A client heard of its turn's end.
    pub(super) fn ended(&self, source: &str, took: Duration) {
        self.book().took.entry(source.to_owned()).or_default().push(took);
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// A call failed.
    pub(super) fn refused(&self, status: &Status) {
        let why = match reason(status) {
            // The client's own words for a server that died under its call.
            none if none.is_empty() && status.message().contains("h2 protocol error") => WIRE.to_owned(),
            none if none.is_empty() => status.message().to_owned(),
            why => why,
        };
        let key = (format!("{:?}", status.code()), why);
        *self.book().refusals.entry(key).or_default() += 1;
    }

    /// How many turns clients have heard end.
    pub(super) fn count(&self) -> usize {
        *self.ended.borrow()
    }

    /// Waits until so many more have ended, or so long.
    pub(super) async fn more(&self, more: usize, at_most: Duration) {
        let mut ended = self.ended.subscribe();
        let target = *ended.borrow() + more;
        // Time passes when nothing ends, and then the next fault is due all the same.
        let _ = tokio::time::timeout(at_most, ended.wait_for(|ended| *ended >= target)).await;
    }

    /// All turns of the server, each checked: it has ended, once, and whoever was told of it finds it.
    pub(super) async fn check(&self, client: &Client) -> BTreeMap<String, Turn> {
        let all: BTreeMap<String, Turn> =
            turns(client, "").await.into_iter().map(|turn| (turn.id.clone(), turn)).collect();
        let mut of_request = BTreeMap::new();
        for turn in all.values() {
            let twice = of_request.insert(turn.request_id.as_str(), turn.id.as_str());
            assert!(
                twice.is_none() || turn.request_id.is_empty(),
                "two turns of one request: {turn:?}, {twice:?}"
            );
        }
        {
            let book = self.book();
            for (turn, source) in &book.accepted {
                assert!(all.contains_key(turn), "a turn of {source} was accepted and is not there: {turn}");
            }
            for (request, told) in &book.requests {
                assert_eq!(told.len(), 1, "one request was told to be several turns: {request}: {told:?}");
            }
        }
        let mut looking = JoinSet::new();
        for turn in all.values() {
            if looking.len() == SIDE_BY_SIDE {
                looking.join_next().await.expect("there are some").unwrap();
            }
            looking.spawn(one_end(client.clone(), turn.clone()));
        }
        while let Some(looked) = looking.join_next().await {
            looked.unwrap();
        }
        all
    }

    /// Fairness, ends and refusals, as tables.
    pub(super) fn tables(&self, all: &BTreeMap<String, Turn>, span: Duration) -> String {
        let book = self.book();
        let mut text = String::from(
            "| source module | turns | turns/s | p50 ms | p99 ms | longest ms |\n|---|---|---|---|---|---|\n",
        );
        for (source, took) in &book.took {
            let mut sorted = took.clone();
            sorted.sort_unstable();
            let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize].as_millis();
            let rate = sorted.len() as f64 / span.as_secs_f64();
            let (p50, p99, longest) = (at(0.5), at(0.99), at(1.0));
            writeln!(text, "| {source} | {} | {rate:.1} | {p50} | {p99} | {longest} |", sorted.len())
                .unwrap();
        }
        let mut ends: BTreeMap<String, usize> = BTreeMap::new();
        for turn in all.values() {
            let reason = turn.failure.as_ref().map(|failure| failure.reason.as_str()).unwrap_or_default();
            let end = format!("{:?} {reason}", turn.state());
            *ends.entry(end.trim().to_owned()).or_default() += 1;
        }
        writeln!(text, "\nends: {ends:?}").unwrap();
        writeln!(text, "calls that failed: {:?}", book.refusals).unwrap();
        text
    }

    /// How many turns of a source ended.
    pub(super) fn ended_of(&self, source: &str) -> usize {
        self.book().took.get(source).map_or(0, Vec::len)
    }

    /// Refusals that are the server's own fault.
    pub(super) fn faults(&self) -> Vec<(String, String)> {
        let book = self.book();
        let of_the_server =
            |(code, why): &&(String, String)| (code == "Internal" || code == "DataLoss") && why != WIRE;
        book.refusals.keys().filter(of_the_server).cloned().collect()
    }
}

/// A turn's record and its events agree: one end.
async fn one_end(client: Client, turn: Turn) {
    assert!(
        matches!(turn.state(), TurnState::Completed | TurnState::Failed | TurnState::Cancelled),
        "it has not ended: {:?}",
        the_end(&turn)
    );
    let mut heard = support::watch(&client, &turn.id, None, 0).await;
    heard.to_end().await;
    assert!(the_end(heard.turn()) == the_end(&turn), "what is told is what is kept: {:?}", the_end(&turn));
    let is_end =
        |event: &Event| matches!(event, Event::Completed(_) | Event::Failed(_) | Event::Cancelled(_));
    let ends = heard.events.iter().filter(|event| event.event.as_ref().is_some_and(is_end)).count();
    assert_eq!(ends, 1, "{:?}", heard.events);
}

/// What is final in a record; lists cut texts.
fn the_end(turn: &Turn) -> impl PartialEq + std::fmt::Debug {
    let Turn { id, state, attempt, usage, failure, end_time, .. } = turn.clone();
    (id, state, attempt, usage, failure, end_time)
}
