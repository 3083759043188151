//! A conversation's events as the wire has them.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use claude_comms_model::ConversationId;
use claude_comms_proto::v1::{self, conversation_event::Event as Wire};
use claude_comms_store::StoreError;
use futures_core::Stream;
use tonic::Status;

use super::{events::wire, status::ApiError};
use crate::{
    conversation_watch::{ConversationWatch, Past, WatchEnd},
    dispatcher::Refused,
    telemetry::Watching,
};

/// A watch as a response. Its first message says where it stands, so that who loses the connection before anything has
/// happened can go on from there.
#[derive(Debug)]
pub(crate) struct ConversationEvents {
    id: ConversationId,
    conversation_id: String,
    begins_after: Option<u64>,
    watch: ConversationWatch,
    /// Counts it as open.
    _watching: Watching,
}

impl ConversationEvents {
    pub(super) fn new(id: ConversationId, past: Past, watch: ConversationWatch, watching: Watching) -> Self {
        let begins_after = Some(past.after_sequence);
        Self { id, conversation_id: id.to_string(), begins_after, watch, _watching: watching }
    }
}

impl Stream for ConversationEvents {
    type Item = Result<v1::ConversationEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let conversation_id = self.conversation_id.clone();
        if let Some(sequence) = self.begins_after.take() {
            return Poll::Ready(Some(Ok(v1::ConversationEvent {
                sequence,
                conversation_id,
                ..Default::default()
            })));
        }
        let id = self.id;
        Pin::new(&mut self.watch).poll_next(context).map(|told| {
            told.map(|told| match told {
                Ok((sequence, turn_id, told)) => {
                    let turn = wire(&turn_id.to_string(), told);
                    let (time, event) = (turn.time, Some(Wire::Turn(turn)));
                    Ok(v1::ConversationEvent { sequence, conversation_id, time, event })
                }
                Err(WatchEnd::Closed) => Err(ApiError::from(Refused::Draining).into()),
                Err(WatchEnd::Store(StoreError::NotFound { .. })) => Err(ApiError::NoConversation(id).into()),
                Err(WatchEnd::Store(error)) => Err(ApiError::from(error).into()),
            })
        })
    }
}
