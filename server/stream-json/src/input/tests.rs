//! Tests of the lines the CLI gets, and of their reading by a simulated one.

use serde_json::value::RawValue;
use uuid::Uuid;

use super::*;
use crate::output::Content;

fn line(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    let line = String::from_utf8(out).unwrap();
    let line = line.strip_suffix('\n').unwrap().to_owned();
    assert!(!line.contains(['\n', '\r']), "{line}");
    line
}

fn request(request: Request<'_>) -> String {
    line(|out| ControlRequest { request_id: "r1", request }.write_line(out))
}

fn wrapped(body: &str) -> String {
    format!(r#"{{"type":"control_request","request_id":"r1","request":{body}}}"#)
}

#[test]
fn a_user_message_is_verbatim_on_one_line() {
    let message = UserMessage { uuid: Uuid::nil(), text: "/clear @file\n\u{2028}\"x\"" };
    assert_eq!(
        line(|out| message.write_line(out)),
        r#"{"type":"user","session_id":"","message":{"role":"user","content":"/clear @file\n\u2028\"x\""},"parent_tool_use_id":null,"uuid":"00000000-0000-0000-0000-000000000000","client_composed":true}"#
    );
}

#[test]
fn initialize_leaves_out_what_is_not_set() {
    assert_eq!(
        request(Request::Initialize(Initialize::default())),
        wrapped(r#"{"subtype":"initialize","hooks":null}"#)
    );
    let manifest = serde_json::from_str::<&RawValue>("{\n \"toolsListResult\": {}\n}").unwrap();
    let full = Initialize {
        append_system_prompt: Some("more"),
        sdk_mcp_servers: &["amas"],
        sdk_mcp_server_manifests: [("amas", manifest)].into(),
        ..Initialize::with_system_prompt(Some("You are \"Bob\"."))
    };
    assert_eq!(
        request(Request::Initialize(full)),
        wrapped(
            r#"{"subtype":"initialize","hooks":null,"systemPrompt":["You are \"Bob\"."],"appendSystemPrompt":"more","sdkMcpServers":["amas"],"sdkMcpServerManifests":{"amas":{  "toolsListResult": {} }}}"#
        )
    );
}

#[test]
fn the_other_requests_carry_their_fields() {
    let servers = serde_json::from_str::<&RawValue>("{}").unwrap();
    for (sent, body) in [
        (Request::Interrupt { cancel_queued: false }, r#"{"subtype":"interrupt"}"#),
        (Request::Interrupt { cancel_queued: true }, r#"{"subtype":"interrupt","cancel_queued":true}"#),
        (Request::EndSession { reason: "idle" }, r#"{"subtype":"end_session","reason":"idle"}"#),
        (Request::SetModel { model: "m" }, r#"{"subtype":"set_model","model":"m"}"#),
        (
            Request::SetPermissionMode { mode: "dontAsk" },
            r#"{"subtype":"set_permission_mode","mode":"dontAsk"}"#,
        ),
        (
            Request::SetMaxThinkingTokens { max_thinking_tokens: 0 },
            r#"{"subtype":"set_max_thinking_tokens","max_thinking_tokens":0}"#,
        ),
        (Request::GetContextUsage, r#"{"subtype":"get_context_usage"}"#),
        (Request::McpStatus, r#"{"subtype":"mcp_status"}"#),
        (Request::McpSetServers { servers }, r#"{"subtype":"mcp_set_servers","servers":{}}"#),
        (Request::GetStatus, r#"{"subtype":"get_status"}"#),
        (Request::Plain { subtype: "get_usage" }, r#"{"subtype":"get_usage"}"#),
    ] {
        assert_eq!(request(sent), wrapped(body));
    }
    let cancel = request(Request::CancelAsyncMessage { message_uuid: Uuid::nil() });
    assert!(cancel.contains(r#""subtype":"cancel_async_message","message_uuid":"00000000"#), "{cancel}");
}

#[test]
fn answers_and_withdrawals_read_back_as_written() {
    let body = serde_json::from_str::<&RawValue>("{\"mcp_response\":\r\n{}}").unwrap();
    let success = ControlResponse { request_id: "df\"07".into(), answer: Answer::Success(Some(body)) };
    let sent = line(|out| success.write_line(out));
    let Input::ControlResponse(read) = parse(&sent).unwrap() else { panic!("{sent}") };
    assert_eq!(read.request_id, "df\"07");
    assert!(matches!(read.answer, Answer::Success(Some(body)) if body.get() == "{\"mcp_response\":  {}}"));

    let refusal = Answer::Error { message: "no".into(), code: Some("unsupported_request".into()) };
    let sent =
        line(|out| ControlResponse { request_id: "x".into(), answer: refusal.clone() }.write_line(out));
    assert_eq!(
        sent,
        r#"{"type":"control_response","response":{"subtype":"error","request_id":"x","error":"no","error_code":"unsupported_request"}}"#
    );
    let sent = line(|out| ControlCancel { request_id: "x".into() }.write_line(out));
    assert!(matches!(parse(&sent).unwrap(), Input::ControlCancel(cancel) if cancel.request_id == "x"));
}

#[test]
fn a_simulated_cli_reads_what_a_host_writes() {
    let sent = request(Request::Interrupt { cancel_queued: true });
    let Input::ControlRequest(read) = parse(&sent).unwrap() else { panic!() };
    assert_eq!((&*read.request_id, &*read.subtype), ("r1", "interrupt"));
    let blocks = r#"{"type":"user","message":{"role":"user","content":[{"type":"text","text":"hi"}]}}"#;
    let Input::User(user) = parse(blocks).unwrap() else { panic!() };
    assert!(matches!(user.content, Content::Blocks(blocks) if blocks[0].text.as_deref() == Some("hi")));
    assert!(!user.client_composed && user.uuid.is_none());
    assert!(
        matches!(parse(r#"{"type":"keep_alive"}"#).unwrap(), Input::Unknown { kind } if kind == "keep_alive")
    );
    assert!(parse("not json").is_err() && parse(r#"{"type":"user"}"#).is_err());
}
