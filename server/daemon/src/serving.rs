//! How an endpoint is served: its connections, HTTP/2, the layers before every service, the services.

use std::time::Duration;

use claude_comms_proto::v1::{
    conversation_service_server::ConversationServiceServer,
    diagnostics_service_server::DiagnosticsServiceServer, instance_service_server::InstanceServiceServer,
    module_service_server::ModuleServiceServer, token_service_server::TokenServiceServer,
};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::{Error, Server};
use tower::layer::util::{Identity, Stack};

use crate::{
    auth::AuthLayer,
    grpc::{
        Context, ConversationHandlers, DiagnosticsHandlers, InstanceHandlers, LimitLayer, ModuleHandlers,
        TokenHandlers,
    },
    telemetry::CallLayer,
    tls,
};

/// HTTP/2 windows: h2 polices unread small frames against half the connection's window (server/README.md, Decisions).
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// hyper's default of 200 makes the 201st subscription of a connection wait.
const STREAMS_PER_CONNECTION: u32 = 10_000;
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Where connections come from.
pub(crate) enum Incoming {
    Unix(tokio::net::UnixListener),
    Tcp(tokio::net::TcpListener),
    Tls(tls::Connections),
}

impl Incoming {
    /// Serves what comes until `closed`.
    pub(crate) async fn serve(
        self,
        router: Router,
        closed: WaitForCancellationFutureOwned,
    ) -> Result<(), Error> {
        match self {
            Self::Unix(listener) => {
                router.serve_with_incoming_shutdown(UnixListenerStream::new(listener), closed).await
            }
            Self::Tcp(listener) => {
                let incoming = tokio_stream::StreamExt::map(TcpListenerStream::new(listener), |stream| {
                    // Without it a small answer waits 44 ms for the acknowledgement of the one before.
                    stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream))
                });
                router.serve_with_incoming_shutdown(incoming, closed).await
            }
            Self::Tls(connections) => router.serve_with_incoming_shutdown(connections, closed).await,
        }
    }
}

pub(crate) type Router =
    tonic::transport::server::Router<Stack<LimitLayer, Stack<AuthLayer, Stack<CallLayer, Identity>>>>;

/// The services behind their layers.
pub(crate) fn router<H: tonic_health::pb::health_server::Health>(
    auth: AuthLayer,
    context: &Context,
    health: tonic_health::pb::health_server::HealthServer<H>,
) -> Router {
    // Room for the prompt and for what is round it.
    let receive_bytes = context.prompt_limit_bytes.max(2 << 20) + (2 << 20);
    // Each version lists the other too.
    let reflection = |other| {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(claude_comms_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(other)
    };
    let v1 = reflection(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET).build_v1();
    let v1alpha = reflection(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET).build_v1alpha();
    Server::builder()
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .layer(CallLayer::new(context.observed.figures.clone()))
        .layer(auth)
        .layer(LimitLayer { prompt_limit_bytes: context.prompt_limit_bytes })
        .add_service(health)
        .add_service(v1.expect("the descriptor set was written by build.rs"))
        .add_service(v1alpha.expect("the descriptor set was written by build.rs"))
        .add_service(
            ConversationServiceServer::new(ConversationHandlers(context.clone()))
                .max_decoding_message_size(receive_bytes),
        )
        .add_service(
            InstanceServiceServer::new(InstanceHandlers(context.clone()))
                .max_decoding_message_size(receive_bytes),
        )
        .add_service(
            ModuleServiceServer::new(ModuleHandlers(context.clone()))
                .max_decoding_message_size(receive_bytes),
        )
        .add_service(DiagnosticsServiceServer::new(DiagnosticsHandlers(context.clone())))
        .add_service(TokenServiceServer::new(TokenHandlers(context.clone())))
}
