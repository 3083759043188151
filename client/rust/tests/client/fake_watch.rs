//! What the fake server says to who watches a conversation.

use std::sync::Arc;

use claude_comms_client::v1;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::support::{State, rest};

impl State {
    /// The turn as the events of its conversation. The stream stays open after them, as a watch does.
    pub(crate) fn watch(
        self: &Arc<Self>,
        request: &v1::WatchConversationRequest,
    ) -> ReceiverStream<Result<v1::ConversationEvent, Status>> {
        let after = request.after_sequence.unwrap_or(0);
        let events = rest(&self.script, after, request.text_offset);
        let (send, receive) = tokio::sync::mpsc::channel(1);
        let mut allowed = self.allowed.subscribe();
        let message = |sequence, event: Option<v1::TurnEvent>| v1::ConversationEvent {
            sequence,
            conversation_id: "c".into(),
            time: None,
            event: event.map(v1::conversation_event::Event::Turn),
        };
        self.tasks.lock().expect("lock").spawn(async move {
            let _ = send.send(Ok(message(after, None))).await;
            for (index, event) in events {
                let open = allowed.wait_for(|allowed| *allowed > index).await.is_ok();
                if !open || send.send(Ok(message(event.sequence, Some(event)))).await.is_err() {
                    return;
                }
            }
            send.closed().await;
        });
        ReceiverStream::new(receive)
    }
}
