//! The stand-in for the Messages API does what tests ask of it, seen by a plain HTTP caller.

use claude_comms_tests::{
    Gate, MessagesApi, Reply,
    messages_api::{Authentication, Ending},
    within,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

struct Call(TcpStream);

impl Call {
    async fn post(api: &MessagesApi, path: &str, body: &Value) -> Self {
        let url = api.base_url();
        let host = url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).await.unwrap();
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nx-api-key: secret-key\r\nanthropic-beta: some\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Self(stream)
    }

    async fn rest(mut self) -> String {
        let mut answer = Vec::new();
        within("the end of the answer", self.0.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn until(&mut self, text: &str) -> String {
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains(text) {
            let read = within(text, self.0.read_buf(&mut answer)).await.unwrap();
            assert_ne!(read, 0, "ended before {text}: {}", String::from_utf8_lossy(&answer));
        }
        String::from_utf8(answer).unwrap()
    }
}

fn ask(text: &str, stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": [{"type": "text", "text": "answer"}]},
        {"role": "user", "content": [{"type": "text", "text": text}]},
    ]})
}

/// The text deltas of an event stream.
fn deltas(answer: &str) -> Vec<String> {
    let data = answer.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter(|event| event["delta"]["type"] == "text_delta")
        .map(|event| event["delta"]["text"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_request_is_kept_without_its_secret() {
    let api = MessagesApi::start().await;
    Call::post(&api, "/v1/messages?beta=true", &ask("hello", true)).await.rest().await;
    let request = api.requests().pop().unwrap();
    assert_eq!(request.path, "/v1/messages?beta=true");
    assert_eq!(request.authentication, Authentication::ApiKey);
    assert_eq!(request.headers["anthropic-beta"], "some");
    assert!(!format!("{request:?}").contains("secret-key"));
    assert_eq!(api.user_texts(0), ["first", "hello"]);
    assert_eq!(request.assistant_texts(), ["answer"]);
}

#[tokio::test]
async fn the_answer_is_the_one_queued_for_it_streamed_or_whole() {
    let api = MessagesApi::start().await;
    api.queue_for("blue", Reply::tokens(3));
    api.always_for("history", Reply::history());
    let echo = Call::post(&api, "/v1/messages", &ask("réd", true)).await.rest().await;
    let blue = Call::post(&api, "/v1/messages", &ask("blue", true)).await.rest().await;
    let whole = Call::post(&api, "/v1/messages", &ask("history", false)).await.rest().await;
    assert_eq!(deltas(&echo), ["réd"]);
    assert_eq!(deltas(&blue), ["tok0 ", "tok1 ", "tok2 "]);
    assert!(whole.contains(r#""text":"heard 2: first ... history""#), "{whole}");
    assert_eq!((0..3).map(|index| api.ending(index)).collect::<Vec<_>>(), [Ending::Complete; 3]);
}

#[tokio::test]
async fn an_answer_waits_at_its_gates() {
    let api = MessagesApi::start().await;
    let (head, middle) = (Gate::new(), Gate::new());
    api.queue(Reply::tokens(2).held_at_head(&head).held_after(1, &middle));
    let mut call = Call::post(&api, "/v1/messages", &ask("x", true)).await;
    head.arrived(1).await;
    head.open();
    call.until("tok0").await;
    middle.arrived(1).await;
    assert_eq!(api.ending(0), Ending::Open);
    middle.open();
    assert_eq!(deltas(&call.rest().await), ["tok1 "]);
}

#[tokio::test]
async fn faults_come_where_they_were_asked_for() {
    let api = MessagesApi::start().await;
    api.queue(Reply::tokens(3).cut_after(2));
    api.queue(Reply::tokens(3).error_event_after(1));
    api.queue(Reply::rate_limited(7));
    api.queue(Reply::tokens(3).hang_after(0));
    api.queue(Reply::silence());
    let cut = Call::post(&api, "/v1/messages", &ask("x", true)).await.rest().await;
    assert_eq!(deltas(&cut).len(), 2);
    assert!(!cut.ends_with("0\r\n\r\n"), "a cut answer has no last chunk: {cut}");
    let error = Call::post(&api, "/v1/messages", &ask("x", true)).await.rest().await;
    assert_eq!(deltas(&error).len(), 1);
    assert!(error.contains("event: error") && error.contains("overloaded_error"), "{error}");
    let refused = Call::post(&api, "/v1/messages", &ask("x", true)).await.rest().await;
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: 7"), "{refused}");
    let mut hung = Call::post(&api, "/v1/messages", &ask("x", true)).await;
    hung.until("content_block_start").await;
    drop(hung);
    drop(Call::post(&api, "/v1/messages", &ask("x", true)).await);
    api.wait_for_requests(5).await;
    let mut endings = Vec::new();
    for index in 0..5 {
        endings.push(api.wait_for_ending(index).await);
    }
    use Ending::{Cut, ErrorEvent, ListenerLeft, Refused};
    assert_eq!(endings, [Cut, ErrorEvent, Refused, ListenerLeft, ListenerLeft]);
}

#[tokio::test]
async fn thinking_and_tool_calls_stand_in_their_own_blocks() {
    let api = MessagesApi::start().await;
    api.queue(Reply::text("so").thinking("hm").calling("mcp__a__b", json!({"x": 1})));
    let answer = Call::post(&api, "/v1/messages", &ask("x", true)).await.rest().await;
    assert_eq!(deltas(&answer), ["so"]);
    for part in ["thinking_delta", "signature_delta", "input_json_delta", r#""stop_reason":"tool_use""#] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
}

#[tokio::test]
async fn what_nobody_asked_for_is_noted() {
    let api = MessagesApi::start().await;
    let counted =
        Call::post(&api, "/v1/messages/count_tokens?beta=true", &ask("x", false)).await.rest().await;
    assert!(counted.contains("input_tokens"), "{counted}");
    assert_eq!((api.count_tokens_calls(), api.requests().len()), (1, 0));
    Call::post(&api, "/elsewhere", &Value::Null).await.rest().await;
    assert_eq!(api.unexpected(), ["POST /elsewhere"]);
}
