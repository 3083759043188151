//! Traces for an OpenTelemetry collector, over OTLP with gRPC. Only with the feature `otlp`.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::{Level, Subscriber};
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use super::trace::TARGET;

/// A tracer that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("telemetry.otlp_endpoint {endpoint} cannot be used")]
pub struct OtlpError {
    endpoint: String,
    #[source]
    source: ExporterBuildError,
}

/// The sender of traces; what it still holds is sent by [`Traces::flush`].
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Prepares to send to a collector, as `http://127.0.0.1:4317`. Must be called within the runtime that is to send.
    /// Nothing is asked of the collector yet, and one that does not answer costs its spans alone.
    ///
    /// # Errors
    /// [`OtlpError`]: it is no endpoint.
    pub fn to(endpoint: &str) -> Result<Self, OtlpError> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
        let exporter = exporter.map_err(|source| OtlpError { endpoint: endpoint.to_owned(), source })?;
        let resource = Resource::builder_empty()
            .with_service_name("claude-comms")
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// What listens to the spans. Log lines and places in the source are no part of them.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("claude-comms"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(TARGET, Level::INFO))
    }

    /// Sends what is left. Blocks, for five seconds at most where the collector does not answer.
    pub fn flush(self) {
        if let Err(error) = self.0.shutdown_with_timeout(std::time::Duration::from_secs(5)) {
            tracing::warn!(%error, "not every trace was sent");
        }
    }
}
