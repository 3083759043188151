//! A stand-in for the Messages API, on loopback: answers each message with `echo: <the last user text>`, as
//! a stream, and keeps what it was sent.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

/// A prompt with this word gets the beginning of an answer and no end.
pub(crate) const UNENDING: &str = "unending";

pub(crate) struct MessagesApi {
    pub(crate) address: String,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl MessagesApi {
    /// Serves until the test's process ends.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::default();
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || {
                    // A client that was killed in the middle is part of the tests.
                    let _client_gone = serve(connection.unwrap(), &seen);
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub(crate) fn last_request(&self) -> Value {
        self.requests.lock().unwrap().last().cloned().unwrap()
    }
}

fn serve(connection: TcpStream, seen: &Mutex<Vec<Value>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut connection = connection;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    if !head.starts_with("POST /v1/messages?") && !head.starts_with("POST /v1/messages ") {
        return write!(
            connection,
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }
    let request: Value = serde_json::from_slice(&body)?;
    let prompt = last_user_text(&request);
    seen.lock().unwrap().push(request);
    write!(connection, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
    let message = json!({"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],
        "stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}});
    let text = format!("echo: {prompt}");
    event(&mut connection, "message_start", json!({"message":message}))?;
    event(
        &mut connection,
        "content_block_start",
        json!({"index":0,"content_block":{"type":"text","text":""}}),
    )?;
    event(
        &mut connection,
        "content_block_delta",
        json!({"index":0,"delta":{"type":"text_delta","text":text}}),
    )?;
    if prompt.contains(UNENDING) {
        // Until the client closes its end.
        return reader.read_to_end(&mut body).map(drop);
    }
    event(&mut connection, "content_block_stop", json!({"index":0}))?;
    let delta = json!({"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3}});
    event(&mut connection, "message_delta", delta)?;
    event(&mut connection, "message_stop", json!({}))
}

fn event(connection: &mut TcpStream, kind: &str, mut data: Value) -> std::io::Result<()> {
    data["type"] = kind.into();
    write!(connection, "event: {kind}\ndata: {data}\n\n")
}

/// The last text block of the last message: what the user said last.
fn last_user_text(request: &Value) -> String {
    let content = &request["messages"].as_array().unwrap().last().unwrap()["content"];
    let block = content.as_array().and_then(|blocks| blocks.last()).map(|block| &block["text"]);
    block.unwrap_or(content).as_str().unwrap_or_default().to_owned()
}
