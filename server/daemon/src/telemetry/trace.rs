//! The spans of a call's way: call, turn, its wait, its lease, starts of processes, exchanges, writes of the store. They
//! carry ids and numbers alone. Without the feature `otlp` nobody listens, and a span costs one load of an atomic.

use claude_comms_model::{ConversationId, InstanceId, TurnId};
use tracing::{Span, info_span};

/// The target of every span that is traced; the log does not listen to it.
pub const TARGET: &str = "otel::claude_comms";

/// The span that another one belongs to, without keeping it open.
#[derive(Debug, Clone, Default)]
pub struct Parent(#[cfg(feature = "otlp")] Option<opentelemetry::Context>);

#[cfg(feature = "otlp")]
impl Parent {
    /// This span.
    pub(super) fn of(span: &Span) -> Self {
        use tracing_opentelemetry::OpenTelemetrySpanExt as _;
        Self((!span.is_disabled()).then(|| span.context()))
    }

    /// What the caller says in `traceparent` and `tracestate`.
    pub(super) fn of_caller(headers: &http::HeaderMap) -> Self {
        use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
        struct Headers<'a>(&'a http::HeaderMap);
        impl Extractor for Headers<'_> {
            fn get(&self, key: &str) -> Option<&str> {
                self.0.get(key).and_then(|value| value.to_str().ok())
            }

            fn keys(&self) -> Vec<&str> {
                self.0.keys().map(http::HeaderName::as_str).collect()
            }
        }
        let propagator = opentelemetry_sdk::propagation::TraceContextPropagator::new();
        Self(Some(propagator.extract_with_context(&opentelemetry::Context::new(), &Headers(headers))))
    }

    /// Makes a new span its child.
    fn adopt(&self, span: &Span) {
        use tracing_opentelemetry::OpenTelemetrySpanExt as _;
        if let (Some(context), false) = (&self.0, span.is_disabled()) {
            // Without a tracer in the subscriber there is no parent to set.
            let _ = span.set_parent(context.clone());
        }
    }
}

#[cfg(not(feature = "otlp"))]
impl Parent {
    pub(super) fn of(_span: &Span) -> Self {
        Self()
    }

    pub(super) fn of_caller(_headers: &http::HeaderMap) -> Self {
        Self()
    }

    fn adopt(&self, _span: &Span) {}
}

/// A call, from its arrival until its answer begins.
pub(super) fn call(method: &str, headers: &http::HeaderMap) -> Span {
    let span = info_span!(target: TARGET, parent: None, "call", otel.name = method, otel.kind = "server", rpc.system = "grpc");
    if !span.is_disabled() {
        Parent::of_caller(headers).adopt(&span);
    }
    span
}

/// A turn, from its acceptance to its end.
pub(crate) fn turn(id: TurnId, conversation: ConversationId, parent: &Parent) -> Span {
    let span =
        info_span!(target: TARGET, parent: None, "turn", turn.id = %id, conversation.id = %conversation);
    parent.adopt(&span);
    span
}

/// Its wait for an instance.
pub(crate) fn queue() -> Span {
    info_span!(target: TARGET, "queue")
}

/// Its time with an instance.
pub(crate) fn lease(instance: InstanceId) -> Span {
    info_span!(target: TARGET, "lease", instance.id = %instance)
}

/// The start of a process for it.
pub(crate) fn start_process(attempt: u32) -> Span {
    info_span!(target: TARGET, "start_process", attempt)
}

/// One message to a process, until the end of its answer.
pub(crate) fn exchange(attempt: u32) -> Span {
    info_span!(target: TARGET, "exchange", attempt)
}
