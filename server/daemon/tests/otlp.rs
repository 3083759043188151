//! A small collector receives the spans of a turn: one trace, the caller's, and each span under its own.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the place and the error")]

use std::{
    collections::HashMap,
    ffi::OsString,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use claude_comms_proto::v1::{
    CreateConversationRequest, SendMessageRequest, conversation_service_client::ConversationServiceClient,
    turn_event::Event,
};
use claude_comms_server::{
    Server,
    config::{self, Overrides},
    telemetry::otlp::Traces,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt as _};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const CANARY: &str = "Zwiebelfisch";
const UNTRACED: u64 = 10;

/// Counts turns' lines, filtered as the log is.
struct Lines(Arc<AtomicU64>);

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _context: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "claude_comms::turn" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Keeps every span.
struct Collector(mpsc::Sender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for span in request
            .into_inner()
            .resource_spans
            .into_iter()
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
        {
            self.0.send(span).await.unwrap();
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turns_spans_are_one_trace_under_its_caller() {
    let binary = std::env::var_os("CLAUDE_COMMS_BIN")
        .expect("CLAUDE_COMMS_BIN: the binary, which is reaper and Claude");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut received) = mpsc::channel(1000);
    let tracker = tokio_util::task::TaskTracker::new();
    let collecting = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(sender)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let collector = tracker.spawn(collecting);

    let traces = Traces::to(&endpoint).unwrap();
    let lines = Arc::new(AtomicU64::new(0));
    let log =
        Targets::new().with_default(tracing::Level::WARN).with_target("claude_comms", tracing::Level::INFO);
    let listeners = vec![traces.layer().boxed(), Lines(Arc::clone(&lines)).with_filter(log).boxed()];
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(listeners)).unwrap();
    let world = tempfile::tempdir().unwrap();
    let overrides = Overrides {
        listen: vec!["http://127.0.0.1:0".to_owned()],
        data_dir: Some(world.path().join("data")),
        backend: Some("simulated".to_owned()),
        ..Overrides::default()
    };
    let environment: Vec<(OsString, OsString)> = vec![
        ("HOME".into(), world.path().into()),
        ("PATH".into(), std::env::var_os("PATH").unwrap()),
        ("CLAUDE_COMMS_AUTH__MODE".into(), "none".into()),
    ];
    let mut config = config::load(&overrides, environment.into_iter()).unwrap().config;
    config.own_binary = PathBuf::from(binary);
    let server = Server::start(config).await.unwrap();
    let address = server.endpoints()[0].clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tracker.spawn(server.run(async {
        let _ = stopped.await;
    }));

    let channel = tonic::transport::Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    let mut client = ConversationServiceClient::new(channel);
    let conversation_id =
        client.create_conversation(CreateConversationRequest::default()).await.unwrap().into_inner().id;
    // Turns of nobody's trace, too.
    for _ in 0..UNTRACED {
        let request = SendMessageRequest {
            conversation_id: conversation_id.clone(),
            prompt: CANARY.to_owned(),
            ..SendMessageRequest::default()
        };
        let mut events = client.send_message(request).await.unwrap().into_inner();
        while events.message().await.unwrap().is_some() {}
    }
    // A conversation of its own, so that a process has to be started for it.
    let conversation_id =
        client.create_conversation(CreateConversationRequest::default()).await.unwrap().into_inner().id;
    let mut request = Request::new(SendMessageRequest {
        conversation_id,
        prompt: CANARY.to_owned(),
        ..SendMessageRequest::default()
    });
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{PARENT}-01").parse().unwrap());
    let mut events = client.send_message(request).await.unwrap().into_inner();
    let mut completed = false;
    while let Some(event) = events.message().await.unwrap() {
        completed |= matches!(event.event, Some(Event::Completed(_)));
    }
    assert!(completed);
    drop((client, events));
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    tokio::task::spawn_blocking(move || traces.flush()).await.unwrap();
    collector.abort();
    let _ = tokio::time::timeout(Duration::from_secs(10), collector).await;

    assert_eq!(lines.load(Ordering::Relaxed), UNTRACED + 1, "each turn has its line beside its trace");
    let mut spans = Vec::new();
    while let Ok(span) = received.try_recv() {
        assert!(!format!("{span:?}").contains(CANARY), "no text in a span: {span:?}");
        if hex(&span.trace_id) == TRACE {
            spans.push(span);
        }
    }
    let by_id: HashMap<String, &Span> = spans.iter().map(|span| (hex(&span.span_id), span)).collect();
    let chain = |name: &str| {
        let mut names = Vec::new();
        let mut span =
            *by_id.values().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"));
        loop {
            names.push(span.name.as_str());
            let parent = hex(&span.parent_span_id);
            if parent == PARENT {
                return names;
            }
            span = by_id.get(&parent).unwrap_or_else(|| panic!("the parent of {}: {spans:#?}", span.name));
        }
    };
    assert_eq!(chain("SendMessage"), ["SendMessage"]);
    assert_eq!(chain("turn"), ["turn", "SendMessage"]);
    assert_eq!(chain("lease"), ["lease", "turn", "SendMessage"]);
    assert_eq!(chain("start_process"), ["start_process", "lease", "turn", "SendMessage"]);
    assert_eq!(chain("exchange"), ["exchange", "lease", "turn", "SendMessage"]);
    let writes: Vec<Vec<&str>> = spans
        .iter()
        .filter(|span| span.name == "store.write")
        .map(|span| vec![by_id[&hex(&span.parent_span_id)].name.as_str()])
        .collect();
    assert!(writes.contains(&vec!["turn"]) && writes.contains(&vec!["lease"]), "{writes:?}");
    for span in &spans {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
    }
}
