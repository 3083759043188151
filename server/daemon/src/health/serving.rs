//! What `grpc.health.v1` says of each service, and when that changes: the server drains, its store takes no writes, the
//! CLI is not there. It must not know what the services do.

use std::{sync::Arc, time::Duration};

use claude_comms_store::Store;
use tokio::time::MissedTickBehavior;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::{HealthReporter, health_reporter},
};

use crate::backend::Backend;

/// How long a look may take; the probe of a CLI that was not found before has its own, shorter one.
const LOOK_LIMIT: Duration = Duration::from_secs(15);

/// What a service cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Nothing: it tells what is wrong with the rest.
    Nothing,
    /// A store that takes writes.
    Store,
    /// That, and a CLI.
    StoreAndCli,
}

/// Every service with what it needs; the empty name is the server as a whole, which is not ended for want of a CLI.
const SERVICES: &[(&str, Needs)] = &[
    ("", Needs::Store),
    ("claude_comms.v1.ConversationService", Needs::StoreAndCli),
    ("claude_comms.v1.InstanceService", Needs::StoreAndCli),
    ("claude_comms.v1.ModuleService", Needs::StoreAndCli),
    ("claude_comms.v1.TokenService", Needs::Store),
    ("claude_comms.v1.DiagnosticsService", Needs::Nothing),
];

/// What was found of the things that services need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    store: bool,
    cli: bool,
}

impl Standing {
    fn allows(self, needs: Needs) -> bool {
        match needs {
            Needs::Nothing => true,
            Needs::Store => self.store,
            Needs::StoreAndCli => self.store && self.cli,
        }
    }
}

/// What the services are said to be; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    reporter: HealthReporter,
    /// Once set, nothing serves any more.
    draining: CancellationToken,
}

impl Serving {
    /// The handle, and the service that answers.
    pub(crate) async fn new() -> (Self, HealthServer<impl Health>) {
        let (reporter, service) = health_reporter();
        let serving = Self { reporter, draining: CancellationToken::new() };
        for (name, _) in SERVICES {
            serving.reporter.set_service_status(name, ServingStatus::Serving).await;
        }
        (serving, service)
    }

    /// The server takes no new work: from now on, and for good, nothing serves.
    pub(crate) async fn drain(&self) {
        self.draining.cancel();
        for (name, _) in SERVICES {
            self.reporter.set_service_status(name, ServingStatus::NotServing).await;
        }
    }

    /// Tells what changed from `before`. Draining, which may come in the middle, wins.
    async fn tell(&self, before: Option<Standing>, now: Standing) {
        for (name, needs) in SERVICES {
            let (was, is) = (before.is_none_or(|before| before.allows(*needs)), now.allows(*needs));
            if was != is {
                tracing::warn!(service = name, serving = is, "health of a service changed");
                let status = if is { ServingStatus::Serving } else { ServingStatus::NotServing };
                self.reporter.set_service_status(name, status).await;
            }
        }
        if self.draining.is_cancelled() {
            self.drain().await;
        }
    }

    /// Looks every `interval` until `ending`, on `tracker`.
    pub(crate) fn watch(
        self,
        tracker: &TaskTracker,
        ending: CancellationToken,
        (store, backend): (Arc<dyn Store>, Arc<dyn Backend>),
        interval: Duration,
    ) {
        let looks = async move {
            let mut told = None;
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                // A disk that hangs holds its look up for ever: that is an answer too.
                let store = tokio::time::timeout(LOOK_LIMIT, store.ready()).await;
                let cli = tokio::time::timeout(LOOK_LIMIT, backend.is_there()).await;
                let standing = Standing { store: matches!(store, Ok(Ok(_))), cli: cli == Ok(true) };
                self.tell(told, standing).await;
                told = Some(standing);
            }
        };
        tracker.spawn(async move { ending.run_until_cancelled(looks).await });
    }
}

#[cfg(test)]
mod tests {
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus as Said, health_client::HealthClient,
    };

    use super::*;

    const GOOD: Standing = Standing { store: true, cli: true };

    /// Which services serve, in the table's order.
    async fn serving(service: &HealthServer<impl Health>) -> Vec<bool> {
        let mut client = HealthClient::new(service.clone());
        let mut all = Vec::new();
        for (name, _) in SERVICES {
            let request = HealthCheckRequest { service: (*name).to_owned() };
            let said = client.check(request).await.expect("the service is known").into_inner().status();
            all.push(said == Said::Serving);
        }
        all
    }

    #[tokio::test]
    async fn each_service_says_whether_what_it_needs_is_there() {
        let (serving_now, service) = Serving::new().await;
        assert_eq!(serving(&service).await, [true; 6]);
        let no_cli = Standing { cli: false, ..GOOD };
        serving_now.tell(None, no_cli).await;
        assert_eq!(serving(&service).await, [true, false, false, false, true, true]);
        serving_now.tell(Some(no_cli), GOOD).await;
        assert_eq!(serving(&service).await, [true; 6]);
        let no_store = Standing { store: false, ..GOOD };
        serving_now.tell(Some(GOOD), no_store).await;
        assert_eq!(serving(&service).await, [false, false, false, false, false, true]);
        // Nothing brings a draining server back.
        serving_now.drain().await;
        serving_now.tell(Some(no_store), GOOD).await;
        assert_eq!(serving(&service).await, [false; 6]);
    }

    /// A service that is forgotten here is one that monitoring cannot ask about.
    #[test]
    fn every_service_of_the_contract_has_a_health() {
        let pool = claude_comms_proto::descriptor_pool();
        let mut contract: Vec<&str> = Vec::new();
        let services: Vec<_> = pool.services().collect();
        contract.extend(services.iter().map(prost_reflect::ServiceDescriptor::full_name));
        contract.sort_unstable();
        let mut known: Vec<&str> =
            SERVICES.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
        known.sort_unstable();
        assert_eq!(known, contract);
    }
}
