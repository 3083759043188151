//! Plays a reply: server-sent events in the order and shape of the Messages API, or one JSON object. It knows the wire
//! and nothing of who listens; a listener who leaves ends it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    Request,
    api::Ending,
    reply::{Fault, Message, Refusal},
};

type Piece = Result<Bytes, io::Error>;
pub(super) type Body = mpsc::Sender<Piece>;

/// The pieces of a body, as HTTP takes them. hyper throws away what it has not flushed when a body fails, and it flushes
/// when a body has nothing for it: so before a failure there is one moment of nothing.
pub(super) struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    failure: Option<io::Error>,
}

impl Pieces {
    pub(super) fn new(pieces: mpsc::Receiver<Piece>) -> Self {
        Self { pieces, failure: None }
    }
}

impl Stream for Pieces {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match ready!(self.pieces.poll_recv(context)) {
            Some(Err(failure)) => {
                self.failure = Some(failure);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            piece => Poll::Ready(piece),
        }
    }
}

/// The listener has left, or the reply was to end early.
struct Stopped(Ending);

/// Plays `message` as events into `body`; says how it ended.
pub(super) async fn play(message: &Message, request: &Request, id: &str, body: Body) -> Ending {
    match events(message, request, id, &body).await {
        Ok(()) => Ending::Complete,
        Err(Stopped(Ending::Cut)) => {
            // An error in the body makes the connection end without its last chunk: a cut, as a client sees it.
            let _ = body.send(Err(io::Error::other("cut by the test"))).await;
            Ending::Cut
        }
        Err(Stopped(ending)) => ending,
    }
}

async fn events(message: &Message, request: &Request, id: &str, body: &Body) -> Result<(), Stopped> {
    let deltas = message.text_deltas(request);
    let mut envelope = envelope(request, id);
    envelope["usage"] = usage(request, 1);
    send(body, "message_start", json!({"message": envelope})).await?;
    let mut index = 0;
    if let Some(thought) = &message.thinking {
        start(body, index, json!({"type": "thinking", "thinking": "", "signature": ""})).await?;
        delta(body, index, json!({"type": "thinking_delta", "thinking": thought})).await?;
        delta(body, index, json!({"type": "signature_delta", "signature": "c3RhbmQtaW4="})).await?;
        send(body, "content_block_stop", json!({"index": index})).await?;
        index += 1;
    }
    start(body, index, json!({"type": "text", "text": ""})).await?;
    for sent in 0..=deltas.len() {
        wait_and_fail(message, sent, body).await?;
        if let Some(text) = deltas.get(sent) {
            delta(body, index, json!({"type": "text_delta", "text": text})).await?;
        }
    }
    send(body, "content_block_stop", json!({"index": index})).await?;
    for (number, (name, input)) in message.tools.iter().enumerate() {
        index += 1;
        start(body, index, json!({"type": "tool_use", "id": tool_id(id, number), "name": name, "input": {}}))
            .await?;
        delta(body, index, json!({"type": "input_json_delta", "partial_json": input.to_string()})).await?;
        send(body, "content_block_stop", json!({"index": index})).await?;
    }
    let stop = json!({"stop_reason": stop_reason(message), "stop_sequence": null});
    let usage = json!({"output_tokens": output_tokens(&deltas)});
    send(body, "message_delta", json!({"delta": stop, "usage": usage})).await?;
    send(body, "message_stop", json!({})).await
}

/// The gates and the fault that stand after `sent` text deltas.
async fn wait_and_fail(message: &Message, sent: usize, body: &Body) -> Result<(), Stopped> {
    for (_, gate) in message.gates.iter().filter(|(after, _)| *after == sent) {
        tokio::select! {
            () = gate.pass() => {}
            () = body.closed() => return Err(Stopped(Ending::ListenerLeft)),
        }
    }
    match message.fault {
        Some((after, fault)) if after == sent => match fault {
            Fault::Cut => Err(Stopped(Ending::Cut)),
            Fault::ErrorEvent => {
                let error = json!({"error": {"type": "overloaded_error", "message": "Overloaded"}});
                send(body, "error", error).await?;
                Err(Stopped(Ending::ErrorEvent))
            }
            Fault::Hang => {
                body.closed().await;
                Err(Stopped(Ending::ListenerLeft))
            }
        },
        _ => Ok(()),
    }
}

async fn start(body: &Body, index: usize, block: Value) -> Result<(), Stopped> {
    send(body, "content_block_start", json!({"index": index, "content_block": block})).await
}

async fn delta(body: &Body, index: usize, delta: Value) -> Result<(), Stopped> {
    send(body, "content_block_delta", json!({"index": index, "delta": delta})).await
}

async fn send(body: &Body, kind: &str, mut data: Value) -> Result<(), Stopped> {
    data["type"] = kind.into();
    let event = format!("event: {kind}\ndata: {data}\n\n");
    body.send(Ok(event.into())).await.map_err(|_| Stopped(Ending::ListenerLeft))
}

/// The whole answer as one JSON object, for a request that does not stream; `Err` where the reply has a fault.
pub(super) fn whole(message: &Message, request: &Request, id: &str) -> Result<Value, Fault> {
    if let Some((_, fault)) = message.fault {
        return Err(fault);
    }
    let deltas = message.text_deltas(request);
    let mut content = vec![json!({"type": "text", "text": deltas.concat()})];
    for (number, (name, input)) in message.tools.iter().enumerate() {
        content.push(json!({"type": "tool_use", "id": tool_id(id, number), "name": name, "input": input}));
    }
    let mut envelope = envelope(request, id);
    envelope["content"] = content.into();
    envelope["stop_reason"] = stop_reason(message).into();
    envelope["usage"] = usage(request, output_tokens(&deltas));
    Ok(envelope)
}

/// The body of an HTTP error.
pub(super) fn refusal(refusal: &Refusal, id: &str) -> Value {
    json!({"type": "error", "error": {"type": refusal.error, "message": refusal.message}, "request_id": format!("req_{id}")})
}

fn envelope(request: &Request, id: &str) -> Value {
    json!({
        "id": id, "type": "message", "role": "assistant", "model": request.model(),
        "content": [], "stop_reason": null, "stop_sequence": null,
    })
}

/// Ten input tokens a text block of users, one output token a delta: numbers a test can foresee.
fn usage(request: &Request, output_tokens: usize) -> Value {
    json!({
        "input_tokens": 10 * request.user_texts().len(), "output_tokens": output_tokens,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
    })
}

fn output_tokens(deltas: &[String]) -> usize {
    deltas.len().max(1)
}

fn stop_reason(message: &Message) -> &'static str {
    if message.tools.is_empty() { "end_turn" } else { "tool_use" }
}

fn tool_id(message_id: &str, number: usize) -> String {
    format!("toolu_{message_id}_{number}")
}
