//! `MonitorInstance` and `WatchPool`: what the monitor sees, as the wire has it.

use std::{
    pin::Pin,
    task::{Context as Task, Poll},
    time::{Duration, SystemTime},
};

use claude_comms_model::{InstanceState, LogEvent, LogKind, TurnStateKind};
use claude_comms_proto::v1::{self, instance_event::Event as Wire};
use futures_core::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{
    Context,
    convert::{self, Shown},
    events,
    status::ApiError,
};
use crate::{
    dispatcher::{InstanceView, Refused},
    hub::EventHub,
    live::Told,
    monitor::{Changes, Counts, InstanceWatch, Seen, Since, WatchEnd},
    telemetry::{Figures, Watching},
};

/// Instances of one message: each is at most some KiB.
const INSTANCES: usize = 50;
/// How often a watcher of the pool is told at most.
const PERIOD: Duration = Duration::from_millis(100);

/// Snapshots of the pool.
pub(crate) type PoolSnapshots = ReceiverStream<Result<v1::PoolSnapshot, Status>>;

impl Context {
    /// Watches an instance.
    pub(super) fn monitor_instance(&self, view: &InstanceView, after: Option<u64>) -> InstanceEvents {
        let store = std::sync::Arc::clone(&self.store);
        let watch = self.hub.monitor().watch(view.record.id, view.state, after, store);
        InstanceEvents { watch, _watching: self.observed.figures.watches("instance") }
    }

    /// Watches the pool. The task ends with the stream.
    pub(super) fn watch_pool(&self) -> PoolSnapshots {
        // One message waits at most: what a slow watcher has not taken is made when it has.
        let (messages, stream) = mpsc::channel(1);
        let watching = self.observed.figures.watches("pool");
        let (hub, figures) = (self.hub.clone(), self.observed.figures.clone());
        self.tracker.spawn(async move {
            follow(hub, figures, messages).await;
            drop(watching);
        });
        ReceiverStream::new(stream)
    }
}

async fn follow(hub: EventHub, figures: Figures, messages: mpsc::Sender<Result<v1::PoolSnapshot, Status>>) {
    let monitor = hub.monitor();
    let mut since = Since::default();
    loop {
        let goes_on = tokio::select! {
            goes_on = monitor.board().changed(&since) => goes_on,
            () = messages.closed() => return,
        };
        let Ok(first) = messages.reserve().await else { return };
        if !goes_on {
            first.send(Err(ApiError::Refused(Refused::Draining).into()));
            return;
        }
        let mut snapshots = snapshots(monitor.board().changes(&mut since, monitor), &figures).into_iter();
        if let Some(snapshot) = snapshots.next() {
            first.send(Ok(snapshot));
        }
        for snapshot in snapshots {
            if messages.send(Ok(snapshot)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = messages.closed() => return,
        }
    }
}

/// Messages of one snapshot, each small enough for every client.
fn snapshots(changes: Changes, figures: &Figures) -> Vec<v1::PoolSnapshot> {
    let time = Some(convert::timestamp(SystemTime::now().into()));
    let mut pieces = changes.instances.chunks(INSTANCES);
    let mut first = Some((pieces.next().unwrap_or_default(), changes.removed, changes.merged));
    let mut messages = Vec::with_capacity(pieces.len() + 1);
    while let Some((views, removed, merged_changes)) =
        first.take().or_else(|| pieces.next().map(|views| (views, Vec::new(), 0)))
    {
        messages.push(v1::PoolSnapshot {
            full: changes.full,
            version: changes.version,
            time,
            instances: views.iter().map(|view| convert::instance(view, Shown::InList)).collect(),
            removed_ids: removed.iter().map(ToString::to_string).collect(),
            counts: Some(counts(&changes.counts, figures)),
            merged_changes,
            continues: pieces.len() > 0,
        });
    }
    messages
}

fn counts(counts: &Counts, figures: &Figures) -> v1::PoolCounts {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    v1::PoolCounts {
        starting: small(counts.starting),
        idle: small(counts.idle),
        busy: small(counts.busy),
        paused: small(counts.paused),
        dormant: small(counts.dormant),
        stopping: small(counts.stopping),
        slots: small(counts.slots),
        running_turns: small(counts.running),
        queued_turns: small(counts.queued),
        completed_turns: figures.ended(TurnStateKind::Completed),
        failed_turns: figures.ended(TurnStateKind::Failed),
        cancelled_turns: figures.ended(TurnStateKind::Cancelled),
        dropped_events: counts.dropped_events,
        merged_changes: counts.merged_changes,
        spares: small(counts.spares),
        wanted_spares: small(counts.wanted_spares),
        spares_off: counts.spares_off.clone(),
        modules: counts
            .modules
            .iter()
            .map(|load| v1::ModuleLoad {
                source_module: load.pair.source.to_string(),
                target_module: load.pair.target.to_string(),
                instances: small(load.instances),
                running_turns: small(load.running),
                queued_turns: small(load.queued),
            })
            .collect(),
        memory_bytes: counts.memory_bytes,
        memory_free_bytes: counts.memory.free.unwrap_or(0),
        memory_reserve_bytes: counts.memory.reserve,
        memory_short: counts.memory.short,
    }
}

/// A watch as a response. Ready as long as there is something, so that tonic packs messages together.
#[derive(Debug)]
pub(crate) struct InstanceEvents {
    watch: InstanceWatch,
    /// Counts it as open.
    _watching: Watching,
}

impl Stream for InstanceEvents {
    type Item = Result<v1::InstanceEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let seen = std::task::ready!(Pin::new(&mut self.watch).poll_next(task));
        Poll::Ready(seen.map(|seen| match seen {
            Ok(seen) => Ok(self.event(seen)),
            Err(WatchEnd::Ending) => Err(ApiError::Refused(Refused::Draining).into()),
            Err(WatchEnd::Store(error)) => Err(ApiError::Store(error).into()),
        }))
    }
}

impl InstanceEvents {
    fn event(&self, seen: Seen) -> v1::InstanceEvent {
        let now = || Some(convert::timestamp(SystemTime::now().into()));
        let (time, event) = match seen {
            Seen::Now(state) => {
                let state = convert::instance_state(state).into();
                (now(), Wire::StateChanged(v1::InstanceStateChanged { state, previous: 0 }))
            }
            Seen::Durable(LogEvent { time, kind, .. }) => (Some(convert::timestamp(time)), durable(kind)),
            Seen::Turn(turn_id, told) => {
                let text = matches!(told, Told::Text { .. });
                let event = events::wire(&turn_id.to_string(), told);
                (event.time.or_else(|| if text { None } else { now() }), Wire::Turn(Box::new(event)))
            }
            Seen::Stderr(generation, piece) => {
                let (text, skipped_bytes, offset) = (piece.text, piece.skipped_bytes, piece.offset);
                (now(), Wire::Stderr(v1::InstanceStderr { text, skipped_bytes, offset, generation }))
            }
            Seen::Health(finding) => {
                (Some(convert::timestamp(finding.checked_time)), Wire::Health(convert::health(&finding)))
            }
        };
        v1::InstanceEvent {
            sequence: self.watch.sequence(),
            instance_id: self.watch.instance_id().to_string(),
            time,
            event: Some(event),
        }
    }
}

fn durable(kind: LogKind) -> Wire {
    let state = |state: InstanceState| convert::instance_state(state).into();
    match kind {
        LogKind::StateChanged { state: now, previous } => Wire::StateChanged(v1::InstanceStateChanged {
            state: state(now),
            previous: previous.map_or(0, state),
        }),
        LogKind::ProcessStarted { process_id, generation } => {
            Wire::ProcessStarted(v1::InstanceProcessStarted { process_id, generation })
        }
        LogKind::ProcessExited(exit) => Wire::ProcessExited(convert::instance_exit(&exit, Shown::Alone)),
        LogKind::TurnStarted { turn_id, conversation_id, attempt } => {
            Wire::TurnStarted(v1::InstanceTurnStarted {
                turn_id: turn_id.to_string(),
                conversation_id: conversation_id.to_string(),
                attempt,
            })
        }
        LogKind::TurnEnded { turn_id, state, reason, usage, cost_usd, duration } => {
            Wire::TurnEnded(v1::InstanceTurnEnded {
                turn_id: turn_id.to_string(),
                state: convert::turn_state(state).into(),
                reason,
                usage: Some(convert::usage(usage)),
                cost_usd,
                duration: prost_types::Duration::try_from(duration).ok(),
            })
        }
    }
}
