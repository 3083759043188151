//! The running turn's way to its consumer: bounded, nothing dropped.

use claude_comms_stream_json::turn::TurnUpdate;
use tokio::sync::mpsc::{self, error::TrySendError};

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// With the consumer, or its turn has none any more.
    Done,
    /// As `Done`, and the turn has ended.
    TurnEnded,
    /// Waits for the consumer; do not read on.
    Clogged,
}

/// The turn a process works on.
#[derive(Debug)]
pub(super) struct Turn {
    consumer: mpsc::Sender<Vec<TurnUpdate>>,
    /// The batch the consumer had no room for. Empty: none.
    waiting: Vec<TurnUpdate>,
}

impl Turn {
    pub(super) fn new(consumer: mpsc::Sender<Vec<TurnUpdate>>) -> Self {
        Self { consumer, waiting: Vec::new() }
    }

    pub(super) fn is_clogged(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Hands over `batch`, or keeps it until there is [`room`](Self::room). `ended` is called before the
    /// consumer can see a turn's end: it may send again at once and must find the process idle.
    pub(super) fn deliver(&mut self, mut batch: Vec<TurnUpdate>, ended: impl FnOnce()) -> Delivery {
        if let Some(end) = batch.iter().position(|update| matches!(update, TurnUpdate::End(_))) {
            batch.truncate(end + 1);
        }
        if batch.is_empty() {
            return Delivery::Done;
        }
        let is_last = matches!(batch.last(), Some(TurnUpdate::End(_)));
        let permit = match self.consumer.try_reserve() {
            Ok(permit) => Some(permit),
            Err(TrySendError::Closed(())) => None,
            Err(TrySendError::Full(())) => {
                self.waiting = batch;
                return Delivery::Clogged;
            }
        };
        if is_last {
            ended();
        }
        if let Some(permit) = permit {
            permit.send(batch);
        }
        if is_last { Delivery::TurnEnded } else { Delivery::Done }
    }

    /// Resolves when the waiting batch can be delivered, because there is room or nobody to take it.
    /// Cancel safe.
    pub(super) async fn room(&self) {
        // The permit is given back at once: nobody else sends, so there will still be room.
        let _room_or_closed = self.consumer.reserve().await;
    }

    /// Tries the waiting batch again.
    pub(super) fn retry(&mut self, ended: impl FnOnce()) -> Delivery {
        let waiting = std::mem::take(&mut self.waiting);
        self.deliver(waiting, ended)
    }
}
