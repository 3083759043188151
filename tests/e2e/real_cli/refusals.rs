//! What the Messages API refuses: each refusal ends its turn with a typed reason and no answer, and the next turn works
//! on the same process.

use claude_comms_proto::v1::{RetryScope, TurnRetrying, turn_event::Event};
use claude_comms_tests::{Reply, client::Heard, messages_api::Authentication};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::task::TaskTracker;

use super::stage::{Stage, assert_answer, assert_failed};

/// The retries a turn tells of.
fn retries(heard: &Heard) -> Vec<&TurnRetrying> {
    let events = heard.events.iter().filter_map(|event| event.event.as_ref());
    events
        .filter_map(|event| if let Event::Retrying(retrying) = event { Some(retrying) } else { None })
        .collect()
}

/// A refusal, its reason, the API calls it takes with one retry, and the retry that is told.
type Case = (&'static str, Reply, &'static str, usize, Option<(&'static str, i32)>);

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_turn_fails_for_its_reason_and_the_next_one_works() {
    let stage = Stage::with(|builder| builder.configuration("retry: { max_attempts: 1 }\n")).await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "well").await, "well");
    let claude = stage.claude_pid();
    let cases: [Case; 7] = [
        ("401", Reply::error(401), "API_AUTHENTICATION", 2, Some(("authentication_failed", 401))),
        ("403", Reply::error(403), "API_PERMISSION", 1, None),
        ("404", Reply::error(404), "MODEL_NOT_FOUND", 2, None),
        ("429", Reply::rate_limited(0), "RATE_LIMITED", 2, Some(("rate_limit", 429))),
        ("500", Reply::error(500), "API_SERVER_ERROR", 2, Some(("server_error", 500))),
        ("529", Reply::error(529), "API_OVERLOADED", 2, Some(("overloaded", 529))),
        ("400", Reply::error(400), "API_INVALID_REQUEST", 3, None),
    ];
    for (name, refusal, reason, calls, retry) in cases {
        let before = stage.api.requests().len();
        stage.api.always_for(format!("refuse {name}"), refusal);
        let heard = stage.client.ask(&conversation, format!("refuse {name}")).await;
        assert_failed(heard.turn(), reason);
        assert_eq!(
            (heard.text.as_str(), heard.turn().partial_text.as_str()),
            ("", ""),
            "{name}: an error is no text"
        );
        assert!(!heard.turn().failure.as_ref().unwrap().message.is_empty());
        assert_eq!(stage.api.requests().len() - before, calls, "API calls of {name}");
        let told: Vec<(&str, i32)> =
            retries(&heard).iter().map(|retry| (retry.reason.as_str(), retry.http_status)).collect();
        assert_eq!(told, Vec::from_iter(retry), "retries of {name}");
        for retry in retries(&heard) {
            assert_eq!((retry.scope(), retry.attempt, retry.max_attempts), (RetryScope::Api, 1, 1));
        }
        // What failed stays in Claude's memory: its prompt is said again before the next one.
        let next = stage.client.ask(&conversation, format!("after {name}")).await;
        assert_answer(&next, &format!("after {name}"));
        let users = stage.last_request_users();
        let remembered = users.iter().any(|user| user.contains(&format!("refuse {name}")));
        assert_eq!(remembered, heard.turn().in_context, "{name}: {users:?}");
        assert_eq!(users[0], "well");
    }
    assert_eq!(stage.claude_pid(), claude, "the process stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_is_too_long_fails_and_the_next_one_works() {
    let stage = Stage::new().await;
    for (name, refusal) in [("400", Reply::prompt_too_long()), ("413", Reply::error(413))] {
        let conversation = stage.client.new_conversation().await;
        let (before, prompt) = (stage.api.requests().len(), format!("too long for {name}"));
        stage.api.always_for(&prompt, refusal);
        let heard = stage.client.ask(&conversation, &prompt).await;
        assert_failed(heard.turn(), "PROMPT_TOO_LONG");
        assert_eq!((heard.text.as_str(), retries(&heard).len()), ("", 0));
        assert_eq!(stage.api.requests().len() - before, 1, "it is not sent again");
        stage.api.always_for("shorter", Reply::text("well"));
        assert_answer(&stage.client.ask(&conversation, format!("shorter {name}")).await, "well");
    }
}

/// The CLI asks the model to sum the conversation up, and asks again with that.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_grew_too_long_is_compacted_and_the_turn_is_answered() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    for prompt in ["one", "two"] {
        assert_answer(&stage.client.ask(&conversation, prompt).await, prompt);
    }
    stage.api.queue_for("three", Reply::prompt_too_long());
    stage
        .api
        .queue_for("create a detailed summary", Reply::text("<summary>they counted</summary>").in_deltas(4));
    stage.api.queue_for("three", Reply::text("four"));
    let heard = stage.client.ask(&conversation, "three").await;
    assert_answer(&heard, "four");
    let requests = stage.api.requests();
    assert_eq!(requests.len(), 5);
    assert!(requests[4].body.to_string().contains("they counted"), "{}", requests[4].body);
    // What it remembers now is the summary, also after its process is gone.
    stage.kill_claude().await;
    assert_answer(&stage.client.ask(&conversation, "next").await, "next");
    let body = stage.api.requests()[5].body.to_string();
    assert!(body.contains("they counted") && body.contains("four"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_api_fails_the_turn_and_is_found_again() {
    // Bound but deaf: the address is ours, and who calls it is refused.
    let door = TcpSocket::new_v4().unwrap();
    door.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = door.local_addr().unwrap();
    let stage = Stage::with(|builder| {
        let builder = builder.configuration("retry: { max_attempts: 1 }\n");
        builder.environment("ANTHROPIC_BASE_URL", format!("http://{address}"))
    })
    .await;
    let conversation = stage.client.new_conversation().await;
    let heard = stage.client.ask(&conversation, "anybody there?").await;
    assert_failed(heard.turn(), "API_UNREACHABLE");
    let [retry] = retries(&heard)[..] else { panic!("not one retry: {:?}", heard.events) };
    assert_eq!((retry.scope(), retry.http_status), (RetryScope::Api, 0));
    let claude = stage.claude_pid();

    let (listener, api) = (door.listen(16).unwrap(), stage.api.base_url());
    let forwarders = TaskTracker::new();
    let inner = forwarders.clone();
    let forwarding = forwarders.spawn(async move {
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            let mut to = TcpStream::connect(api.strip_prefix("http://").unwrap()).await.unwrap();
            // Whoever hangs up first ends it.
            inner.spawn(async move { drop(tokio::io::copy_bidirectional(&mut from, &mut to).await) });
        }
    });
    assert_answer(&stage.client.ask(&conversation, "and now?").await, "and now?");
    assert_eq!(stage.claude_pid(), claude);
    forwarding.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_the_turn_says_how_to_log_in() {
    let stage = Stage::with(|builder| builder.environment("ANTHROPIC_API_KEY", "")).await;
    let conversation = stage.client.new_conversation().await;
    let heard = stage.client.ask(&conversation, "who am I?").await;
    assert_failed(heard.turn(), "NOT_LOGGED_IN");
    assert!(stage.api.requests().is_empty());
    assert!(stage.server.log().contains("ANTHROPIC_API_KEY"), "{}", stage.server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_says_nothing_is_a_timeout() {
    let stage = Stage::with(|builder| {
        let environment = "claude: {environment: {API_TIMEOUT_MS: '700', CLAUDE_CODE_MAX_RETRIES: '0'}}";
        builder.configuration(environment)
    })
    .await;
    let conversation = stage.client.new_conversation().await;
    stage.api.always_for("silence", Reply::silence());
    assert_failed(stage.client.ask(&conversation, "silence").await.turn(), "API_TIMEOUT");
    assert_answer(&stage.client.ask(&conversation, "sound").await, "sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oauth_token_works_as_a_key_does() {
    let stage = Stage::with(|builder| {
        builder
            .environment("ANTHROPIC_API_KEY", "")
            .environment("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-made-up")
    })
    .await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "hello").await, "hello");
    assert_answer(&stage.client.ask(&conversation, "again").await, "again");
    let requests = stage.api.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].authentication, Authentication::Bearer);
    assert_eq!(requests[1].assistant_texts(), ["hello"]);
    assert_eq!(
        requests[1].system_texts().len(),
        2,
        "no system prompt but ours: {:?}",
        requests[1].system_texts()
    );
    assert_eq!(stage.api.unexpected(), Vec::<String>::new());
}
