//! grpcurl, which knows the server by reflection alone.

use claude_comms_tests::{Ran, TestServer, tools};
use serde_json::Value;

use super::{PROMPT, server, server_with_data};

/// How grpcurl reaches the server.
#[derive(Clone, Copy)]
enum Over {
    Tcp,
    TcpWithoutToken,
    Unix,
}

async fn grpcurl(server: &TestServer, over: Over, data: Option<Value>, call: &[&str]) -> Ran {
    let mut command = server.world().command(&tools::grpcurl());
    command.args(["-plaintext", "-max-time", "60"]);
    if let Over::Tcp = over {
        command.args(["-H", &format!("authorization: Bearer {}", server.token())]);
    }
    if let Some(data) = data {
        command.args(["-d", &data.to_string()]);
    }
    match over {
        // `-unix PATH` dials TCP in 1.9.3; the endpoint as we print it works.
        Over::Unix => command.arg(server.unix()),
        Over::Tcp | Over::TcpWithoutToken => command.arg(server.tcp().trim_start_matches("http://")),
    };
    command.args(call);
    Ran::to_end(command).await
}

/// grpcurl prints a stream as JSON values one after the other.
fn events(ran: &Ran) -> Vec<Value> {
    serde_json::Deserializer::from_str(&ran.stdout).into_iter().map(|event| event.unwrap()).collect()
}

async fn lists_describes_and_calls(over: Over) {
    let server = server().await;
    let listed = grpcurl(&server, over, None, &["list"]).await.expect(0);
    for service in [
        "claude_comms.v1.ConversationService",
        "claude_comms.v1.DiagnosticsService",
        "claude_comms.v1.InstanceService",
        "claude_comms.v1.ModuleService",
        "grpc.health.v1.Health",
    ] {
        assert!(listed.stdout.lines().any(|line| line == service), "{service} in {}", listed.stdout);
    }
    let described = grpcurl(&server, over, None, &["describe", "claude_comms.v1.TurnEvent"]).await.expect(0);
    assert!(described.stdout.contains("oneof event") && described.stdout.contains(".TextDelta text_delta"));
    let create = "claude_comms.v1.ConversationService/CreateConversation";
    let made =
        grpcurl(&server, over, Some(serde_json::json!({"title": "grpcurl"})), &[create]).await.expect(0);
    assert_eq!(made.json()["title"], "grpcurl");
    let send = serde_json::json!({"conversationId": made.json()["id"], "prompt": PROMPT});
    let sent = grpcurl(&server, over, Some(send), &["claude_comms.v1.ConversationService/SendMessage"])
        .await
        .expect(0);
    assert!(sent.stdout.contains("[simulated]"), "{sent:#?}");
    let events = events(&sent);
    let text: String = events.iter().filter_map(|event| event["textDelta"]["text"].as_str()).collect();
    assert_eq!(events.last().unwrap()["completed"]["turn"]["text"], text.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_lists_describes_and_calls_over_tcp_with_the_token() {
    lists_describes_and_calls(Over::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_lists_describes_and_calls_over_the_unix_socket() {
    lists_describes_and_calls(Over::Unix).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_reflection_answer() {
    let server = server().await;
    let listed = grpcurl(&server, Over::Unix, None, &["list"]).await.expect(0);
    let question = serde_json::json!({"listServices": ""});
    for version in ["v1", "v1alpha"] {
        let service = format!("grpc.reflection.{version}.ServerReflection");
        assert!(listed.stdout.contains(&service), "{service} in {}", listed.stdout);
        let call = format!("{service}/ServerReflectionInfo");
        let answer = grpcurl(&server, Over::Unix, Some(question.clone()), &[&call]).await.expect(0);
        assert!(
            answer.stdout.contains("claude_comms.v1.ConversationService"),
            "{version}: {}",
            answer.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_reflection_and_calls_are_refused_and_health_is_open() {
    let server = server().await;
    let listed = grpcurl(&server, Over::TcpWithoutToken, None, &["list"]).await;
    assert_ne!(listed.code, Some(0));
    assert!(listed.stderr.contains("Unauthenticated"), "{}", listed.stderr);
    let proto = tools::repository().join("proto");
    let mut command = server.world().command(&tools::grpcurl());
    command.args(["-plaintext", "-import-path"]).arg(&proto);
    command.args([
        "-proto",
        "claude_comms/v1/diagnostics_service.proto",
        server.tcp().trim_start_matches("http://"),
    ]);
    let info = Ran::to_end({
        command.arg("claude_comms.v1.DiagnosticsService/GetServerInfo");
        command
    })
    .await;
    // grpcurl ends with 64 plus the status code; UNAUTHENTICATED is 16.
    assert_eq!(info.code, Some(80), "{info:#?}");
    let mut health = claude_comms_tests::Client::connect(server.tcp(), None).await.health;
    let answer = health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_asks_a_module_and_gets_data() {
    let server = server_with_data().await;
    let question = serde_json::json!({
        "source": "marker", "target": "arangodb", "prompt": PROMPT, "capability": "run_aql",
    });
    let call = "claude_comms.v1.ModuleService/QueryModule";
    let asked = grpcurl(&server, Over::Tcp, Some(question), &[call]).await.expect(0);
    let events = events(&asked);
    let turn = &events.last().unwrap()["completed"]["turn"];
    assert_eq!(turn["data"], serde_json::json!({"rows": []}), "{asked:#?}");
    assert_eq!(turn["dataJson"], "{\"rows\": []}");
}
