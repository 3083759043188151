//! Canaries: a key, an environment value, tokens and prompts, looked for in all that an operator sees of a session with the
//! real CLI: log at its loudest, figures, errors, settings, diagnosis, process arguments.

use claude_comms_tests::Ran;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::stage::Stage;

const KEY: &str = "sk-ant-Canary-key-Zork";
const VALUE: &str = "Canary-value-Frobozz";
const PROMPT: &str = "Canary-prompt-Xyzzy";
const SYSTEM: &str = "Canary-system-Plugh";

/// What of the session a secret may be found in, by name.
struct Seen(Vec<(String, String)>);

impl Seen {
    fn ran(&mut self, arguments: &[&str], ran: Ran) {
        self.0.push((arguments.join(" "), format!("{}\n{}", ran.stdout, ran.stderr)));
    }
}

async fn metrics(endpoint: &str) -> String {
    let address = endpoint.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("claude_comms_turns_total"), "{text}");
    text
}

#[tokio::test]
async fn a_session_leaves_no_secret_in_logs_figures_errors_settings_diagnosis_or_arguments() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let metrics_endpoint = format!("http://127.0.0.1:{port}");
    let settings = format!(
        "claude: {{environment: {{MY_SECRET: {VALUE}}}}}\ntelemetry: {{metrics_listen: '{metrics_endpoint}'}}\n"
    );
    let stage = Stage::with(|builder| {
        builder
            .tcp()
            .environment("ANTHROPIC_API_KEY", KEY)
            .arguments(&["--verbose", "--log-format", "json"])
            .configuration(settings)
    })
    .await;
    let server = &stage.server;
    let mut seen = Seen(Vec::new());
    let created =
        server.cli(&["token", "create", "canary", "--scope", "read", "--output", "json"]).await.expect(0);
    let named = created.json()["secret"].as_str().unwrap().to_owned();
    let started = server
        .cli(&["start-instance", "--name", "canary", "--system-prompt", SYSTEM, "--output", "json"])
        .await
        .expect(0)
        .json();
    assert!(!started.to_string().contains(SYSTEM), "{started}");
    let asked = server.cli(&["query-instance", "--id", "canary", PROMPT]).await.expect(0);
    assert!(!asked.stdout.is_empty());
    let request = stage.api.requests();
    let last = request.last().expect("the CLI asked the API");
    assert!(last.user_texts().concat().contains(PROMPT), "the prompt did arrive");
    for process in server.processes().all() {
        seen.0.push((format!("arguments of {}", process.pid), process.arguments.join(" ")));
    }
    let tcp = server.tcp().to_owned();
    let file = server.world().root().join("claude-comms.yaml").to_string_lossy().into_owned();
    for arguments in [
        &["status"][..],
        &["status", "--output", "json"],
        &["statistics"],
        &["list-instances", "--output", "json"],
        &["show-instance", "--id", "canary", "--output", "json"],
        &["doctor"],
        &["doctor", "--output", "json"],
        &["doctor", "--turn"],
        &["config", "--config", &file],
        &["config", "--config", &file, "--output", "json"],
        &["token", "list"],
        &["token", "list", "--output", "json"],
        &["pause-instance", "--id", "canary"],
        &["show-turn", "--id", "ffffffff"],
        &["status", "--server", &tcp],
    ] {
        let ran = server.cli(arguments).await;
        seen.ran(arguments, ran);
    }
    // Refusals over TCP: with the narrow token, with a wrong one that is nearly right, with none.
    let wrong = format!("{}x", &named[..named.len() - 1]);
    for token in [named.as_str(), wrong.as_str(), &server.token()[1..]] {
        for arguments in
            [&["stop-instance", "--id", "canary"][..], &["query-instance", "--id", "canary", PROMPT]]
        {
            let mut command = server.cli_command(arguments);
            command.env("CLAUDE_COMMS_SERVER", &tcp).env("CLAUDE_COMMS_TOKEN", token);
            let ran = Ran::to_end(command).await;
            assert_ne!(ran.code, Some(0), "{arguments:?}: {ran:?}");
            seen.ran(arguments, ran);
        }
    }
    seen.0.push(("metrics".to_owned(), metrics(&metrics_endpoint).await));
    let mut config = server.cli_command(&["config"]);
    config
        .env("CLAUDE_COMMS_CLAUDE__ENVIRONMENT", format!("{{MY_SECRET: {VALUE}}}"))
        .env("ANTHROPIC_API_KEY", KEY);
    seen.ran(&["config with variables"], Ran::to_end(config).await.expect(0));
    let _ = server.cli(&["resume-instance", "--id", "canary"]).await;
    seen.0.push(("log".to_owned(), server.log()));

    let token = server.token();
    for (place, text) in &seen.0 {
        for (what, secret) in [
            ("key", KEY),
            ("value", VALUE),
            ("prompt", PROMPT),
            ("system prompt", SYSTEM),
            ("token", &token),
            ("named token", &named),
        ] {
            assert!(!text.contains(secret), "the {what} is in {place}:\n{text}");
        }
    }
    assert!(server.log().contains("claude_comms::turn"), "the turn's line is in the log");
    assert!(seen.0.len() > 20, "{} places", seen.0.len());
}
