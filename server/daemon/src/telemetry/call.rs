//! Every call passes here first: it is counted by method, its refusal by reason, and what it sets going learns where it
//! came from. A reason is read off the status that `grpc/status.rs` made, so that each is counted once, wherever refused.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use prometheus::IntCounter;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt as _;
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::{
    Figures,
    figures::OTHER,
    trace::{self, Parent},
};

tokio::task_local! {
    static ORIGIN: Origin;
}

/// The call that set something going.
#[derive(Debug, Clone, Default)]
pub struct Origin(Option<Arc<Call>>);

#[derive(Debug)]
struct Call {
    method: Arc<str>,
    trace_id: Option<String>,
    span: Parent,
}

impl Origin {
    /// The call that this task answers; none in tasks of the server's own.
    pub fn current() -> Self {
        ORIGIN.try_with(Clone::clone).unwrap_or_default()
    }

    /// Its method, `SendMessage`; empty for none.
    pub fn rpc(&self) -> &str {
        self.0.as_ref().map_or("", |call| &call.method)
    }

    /// The span that its turn belongs to.
    pub(crate) fn parent(&self) -> Parent {
        self.0.as_ref().map(|call| call.span.clone()).unwrap_or_default()
    }

    /// The caller's trace, 32 hexadecimal digits, when it sent a `traceparent`.
    pub fn trace_id(&self) -> Option<&str> {
        self.0.as_ref()?.trace_id.as_deref()
    }
}

/// The trace of a `traceparent` header (W3C Trace Context), if it is one.
fn trace_id(traceparent: &str) -> Option<String> {
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lower_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let good = lower_hex(version, 2)
        && version != "ff"
        && lower_hex(trace, 32)
        && lower_hex(parent, 16)
        && lower_hex(flags, 2)
        && trace.bytes().any(|b| b != b'0')
        && parent.bytes().any(|b| b != b'0');
    good.then(|| trace.to_owned())
}

/// A method and its counter.
#[derive(Debug, Clone)]
struct Method {
    name: Arc<str>,
    calls: IntCounter,
}

/// Puts the counting before everything else of an endpoint.
#[derive(Debug, Clone)]
pub struct CallLayer {
    figures: Figures,
    /// By path.
    methods: Arc<HashMap<String, Method>>,
    other: Method,
}

impl CallLayer {
    /// For the contract's methods, and health's; reflection is counted as other.
    pub fn new(figures: Figures) -> Self {
        let method = |name: &str| Method {
            name: Arc::from(name),
            calls: figures.counters().rpcs.with_label_values(&[name]),
        };
        let mut methods: HashMap<String, Method> = claude_comms_proto::descriptor_pool()
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .map(|rpc| (format!("/{}/{}", rpc.parent_service().full_name(), rpc.name()), method(rpc.name())))
            .collect();
        for name in ["Check", "Watch"] {
            methods.insert(format!("/grpc.health.v1.Health/{name}"), method(&format!("Health.{name}")));
        }
        let other = method(OTHER);
        Self { figures, methods: Arc::new(methods), other }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { layer: self.clone(), inner }
    }
}

/// A service whose calls are counted.
#[derive(Debug, Clone)]
pub struct Counted<S> {
    layer: CallLayer,
    inner: S,
}

impl<S, B> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = self.layer.methods.get(request.uri().path()).unwrap_or(&self.layer.other);
        method.calls.inc();
        let traceparent = request.headers().get("traceparent").and_then(|header| header.to_str().ok());
        let trace_id = traceparent.and_then(trace_id);
        let span = trace::call(&method.name, request.headers());
        let origin = Origin(Some(Arc::new(Call {
            method: Arc::clone(&method.name),
            trace_id,
            span: Parent::of(&span),
        })));
        let figures = self.layer.figures.clone();
        let call = ORIGIN.scope(origin, self.inner.call(request)).instrument(span);
        Box::pin(async move {
            let response = call.await?;
            if let Some(status) = response.extensions().get::<Status>() {
                figures.refused(status);
            }
            Ok(response)
        })
    }
}

impl Figures {
    /// A call was refused.
    fn refused(&self, status: &Status) {
        if status.code() == Code::Ok {
            return;
        }
        let details = status.get_error_details();
        // What tonic refuses by itself has no reason.
        let reason = details.error_info().map_or("", |info| &info.reason);
        self.counters().refusals.with_label_values(&[code_name(status.code()), reason]).inc();
    }
}

/// gRPC's own name of a code.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_taken_from_a_whole_traceparent_alone() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(), Some(trace));
        // A later version may have more to say.
        assert_eq!(trace_id(&format!("01-{trace}-00f067aa0ba902b7-01-more")).as_deref(), Some(trace));
        for bad in [
            String::new(),
            trace.to_owned(),
            format!("ff-{trace}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{trace}-00f067aa0ba902b7"),
        ] {
            assert_eq!(trace_id(&bad), None, "{bad}");
        }
    }
}
