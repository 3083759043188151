//! The task that makes instances' events durable, batch by batch, and then tells them.

use std::sync::Arc;

use claude_comms_store::Store;
use tokio_util::sync::CancellationToken;

use super::{Monitor, handle::Pending};
use crate::backend::chain;

/// Most events of one act of the store: turns may wait behind it.
const BATCH: usize = 512;

/// Runs until `ending`, and then until all that was put down before is told.
pub(crate) async fn write(monitor: Monitor, store: Arc<dyn Store>, ending: CancellationToken) {
    let mut failing = false;
    loop {
        let Pending { events, forgotten } = monitor.take(BATCH);
        if events.is_empty() && forgotten.is_empty() {
            if ending.is_cancelled() {
                break;
            }
            tokio::select! {
                () = monitor.changed() => {}
                () = ending.cancelled() => {}
            }
            continue;
        }
        let count = events.len();
        let ends: Vec<_> =
            events.iter().filter(|event| event.kind.is_last()).map(|event| event.instance_id).collect();
        let logged = if events.is_empty() { Ok(Vec::new()) } else { store.log_instances(events).await };
        match logged {
            Ok(logged) => {
                failing = false;
                monitor.tell(logged);
            }
            Err(error) => {
                monitor.dropped(count);
                monitor.no_more(&ends);
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(
                        error = chain(&error),
                        events = count,
                        "events of instances could not be recorded"
                    );
                }
            }
        }
        if !forgotten.is_empty()
            && let Err(error) = store.forget_instance_logs(forgotten).await
        {
            tracing::warn!(error = chain(&error), "logs of forgotten instances could not be removed");
        }
    }
    monitor.end();
}
