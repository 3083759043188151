//! First turns of the real CLI: on a process that waited, a new one, a resumed one, and the turn after that; the bare driver
//! and the server do the same in every round.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use claude_comms_proto::v1::{Instance, ListInstancesRequest, StopInstanceRequest};
use claude_comms_tests::{Client, PATIENCE, Reply, TestServer, eventually, world::World};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    conversation::{Connection, Conversation},
    raw::{Pattern, RawCli, Session},
    real::{ANSWER_DELTAS, stand_in},
    samples::Turns,
};

const PROMPT: &str = "ping";
const SYSTEM_PROMPT: Option<&str> = Some("You are Bob.");
/// How long a spare and a bare parked process wait before they are used: the CLI has come up by then.
const PARKED: Duration = Duration::from_secs(2);
/// What follows a turn (the CLI's own work, the start of the next spare) is over by then.
const SETTLED: Duration = Duration::from_millis(1500);

/// One way to a first token.
#[derive(Debug, Default)]
struct Way {
    raw: Turns,
    served: Turns,
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    spare: Way,
    cold: Way,
    resumed: Way,
    warm: Way,
}

/// A server and how to speak to it.
struct Side {
    server: TestServer,
    client: Client,
    connection: Connection,
}

impl Side {
    async fn new(server: TestServer) -> Self {
        let client = server.client().await;
        let connection = Connection::open(server.unix(), None).await;
        Self { server, client, connection }
    }

    async fn instances(&self) -> Vec<Instance> {
        let request = ListInstancesRequest::default();
        self.client.instances.clone().list_instances(request).await.expect("the list").into_inner().instances
    }

    /// Ends the process of a conversation.
    async fn stop(&self, conversation: &Conversation) {
        for instance in self.instances().await {
            if instance.conversation_id == conversation.id {
                let request = StopInstanceRequest { id: instance.id, ..StopInstanceRequest::default() };
                self.client.instances.clone().stop_instance(request).await.expect("it stops");
            }
        }
    }

    async fn await_spare(&self) {
        eventually(PATIENCE, "a spare", async || {
            self.instances()
                .await
                .iter()
                .any(|instance| instance.spare && instance.process_id != 0)
                .then_some(())
        })
        .await;
    }
}

/// So many rounds.
pub(crate) async fn measure(rounds: usize) -> Starts {
    let (api, stop, thread) = stand_in().await;
    api.otherwise(Reply::tokens(ANSWER_DELTAS));
    let with = Side::new(TestServer::claude(&api).warm_spares(1).start().await).await;
    let without = Side::new(TestServer::claude(&api).start().await).await;
    with.await_spare().await;
    let pattern = Pattern::of(&with.server.processes().claudes()[0]);
    let mut all = Starts::default();
    for round in 0..rounds {
        all.round(round, &pattern, &with, &without).await;
    }
    drop((with, without, api));
    drop(stop);
    thread.join().expect("the stand-in ends");
    all
}

impl Starts {
    async fn round(&mut self, round: usize, pattern: &Pattern, with: &Side, without: &Side) {
        let session = Uuid::new_v4();
        with.await_spare().await;
        let mut raw = RawCli::spawn(pattern, World::new(), Session::New(session));
        sleep(PARKED).await;
        let mut served = with.connection.converse(SYSTEM_PROMPT).await;
        // In turning order, so that whatever drifts hits both alike.
        for place in 0..2 {
            if (round + place).is_multiple_of(2) {
                self.spare.raw.push(first(&mut raw).await);
            } else {
                self.spare.served.push(served.ask(PROMPT).await);
            }
            sleep(SETTLED).await;
        }
        self.warm.raw.push(raw.ask(PROMPT).await);
        sleep(SETTLED).await;
        self.warm.served.push(served.ask(PROMPT).await);
        with.stop(&served).await;
        let world = raw.stop().await;
        sleep(SETTLED).await;

        let begin = Instant::now();
        let mut raw = RawCli::spawn(pattern, world, Session::Resume(session));
        self.resumed.raw.push(since(begin, &mut raw).await);
        sleep(SETTLED).await;
        self.resumed.served.push(served.ask(PROMPT).await);
        raw.stop().await;
        with.stop(&served).await;
        sleep(SETTLED).await;

        let begin = Instant::now();
        let mut raw = RawCli::spawn(pattern, World::new(), Session::New(Uuid::new_v4()));
        self.cold.raw.push(since(begin, &mut raw).await);
        raw.stop().await;
        sleep(SETTLED).await;
        let mut served = without.connection.converse(SYSTEM_PROMPT).await;
        self.cold.served.push(served.ask(PROMPT).await);
        without.stop(&served).await;
    }

    /// The spare's first token, of the bare one's.
    pub(crate) fn spare_ratio(&self) -> f64 {
        self.spare.served.first_token.p50() / self.spare.raw.first_token.p50()
    }

    /// The table of it.
    pub(crate) fn print(&self) {
        let mut table = String::from(
            "| first token, ms, p50 (p99) | raw | server, Unix socket | server / raw |\n|---|---|---|---|\n",
        );
        for (name, way) in
            [("spare", &self.spare), ("cold", &self.cold), ("resumed", &self.resumed), ("warm", &self.warm)]
        {
            let (raw, served) = (&way.raw.first_token, &way.served.first_token);
            writeln!(table, "| {name} | {raw} | {served} | {:.3} |", served.p50() / raw.p50())
                .expect("a text takes text");
        }
        println!("{table}");
    }
}

/// The first turn of a process that waited.
async fn first(raw: &mut RawCli) -> crate::samples::TurnTimes {
    let begin = Instant::now();
    since(begin, raw).await
}

/// The first turn of a process that was started at this moment: all is written at once.
async fn since(begin: Instant, raw: &mut RawCli) -> crate::samples::TurnTimes {
    raw.initialize(SYSTEM_PROMPT).await;
    let before = begin.elapsed();
    let turn = raw.ask(PROMPT).await;
    crate::samples::TurnTimes { first_token: before + turn.first_token, whole: before + turn.whole }
}
