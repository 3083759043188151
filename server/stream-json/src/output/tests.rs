//! Tests of the reading of single lines; whole turns are in `tests/recorded.rs`.

use super::*;

fn malformed(line: &str) -> (String, String) {
    match parse(line) {
        Err(ParseError::Malformed { kind, problem, .. }) => (kind, problem),
        other => panic!("{line} gave {other:?}"),
    }
}

#[test]
fn a_delta_is_borrowed_unless_it_holds_an_escape() {
    let line = r#"{"uuid":"u","event":{"delta":{"text":"plain","type":"text_delta"},"index":3,"type":"content_block_delta"},"type":"stream_event"}"#;
    let Output::StreamEvent(read) = parse(line).unwrap() else { panic!() };
    let Event::TextDelta { index: 3, text: Cow::Borrowed("plain") } = read.event else { panic!("{read:?}") };
    let escaped = line.replace("plain", r"a\n\u00e9");
    let Output::StreamEvent(read) = parse(&escaped).unwrap() else { panic!() };
    let Event::TextDelta { text: Cow::Owned(text), .. } = read.event else { panic!("{read:?}") };
    assert_eq!(text, "a\né");
}

#[test]
fn unknown_kinds_pass_through_with_their_text() {
    for (line, kind, subtype) in [
        (r#"{"type":"new_thing","event":"ui.render","uuid":7}"#, "new_thing", None),
        (
            r#"{"type":"system","subtype":"ui_invalidate","event":"ui.render"}"#,
            "system",
            Some("ui_invalidate"),
        ),
        (r#"{"subtype":"api_retry","attempt":"many","type":"system"}"#, "system", Some("api_retry")),
        (r#"{"type":"system","subtype":"init"}"#, "system", Some("init")),
    ] {
        let Output::Unknown(unknown) = parse(line).unwrap() else { panic!("{line}") };
        assert_eq!((&*unknown.kind, unknown.subtype.as_deref(), unknown.raw), (kind, subtype, line));
    }
}

#[test]
fn unknown_events_of_any_shape_pass_through() {
    for event in [
        r#"{"type":"ping"}"#,
        r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
        r#"{"type":"later_thing","delta":"text","index":-1}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"later_delta"}}"#,
    ] {
        let line = format!(r#"{{"type":"stream_event","event":{event}}}"#);
        let Output::StreamEvent(read) = parse(&line).unwrap() else { panic!("{line}") };
        assert!(matches!(read.event, Event::Other { .. }), "{read:?}");
    }
}

#[test]
fn a_wrong_line_of_a_kind_turns_depend_on_is_an_error() {
    let cases = [
        (r#"{"type":"stream_event"}"#, "stream_event", "missing field `event`"),
        (
            r#"{"type":"stream_event","event":{"type":"content_block_delta","index":0,"delta":{"type":"text_delta"}}}"#,
            "stream_event",
            "missing field `delta.text`",
        ),
        (
            r#"{"type":"stream_event","event":{"type":"message_stop"},"event":{"type":"message_stop"}}"#,
            "stream_event",
            "duplicate field `event`",
        ),
        (r#"{"type":"result","subtype":"success"}"#, "result", "missing field `is_error`"),
        (r#"{"type":"assistant","message":{}}"#, "assistant", "missing field `content`"),
        (r#"{"type":"user","message":{"content":7}}"#, "user", "a field has an unexpected type or value"),
        (
            r#"{"type":"control_request","request":{"subtype":"x"}}"#,
            "control_request",
            "missing field `request_id`",
        ),
        (r#"{"type":"control_response","response":{}}"#, "control_response", "missing field `subtype`"),
        (r#"{"no":"type"}"#, "?", "missing field `type`"),
        (r#"{"type":"a","type":"b"}"#, "?", "duplicate field `type`"),
    ];
    for (line, kind, problem) in cases {
        assert_eq!(malformed(line), (kind.to_owned(), problem.to_owned()), "{line}");
    }
    for line in ["", "{", "null", "[1]", "warning", r#"{"type":"x"} {}"#, r#"{"type":"x"#] {
        assert!(parse(line).is_err(), "{line}");
    }
    assert_eq!(parse_bytes(b"{\"a\xff").unwrap_err(), ParseError::NotUtf8 { valid_up_to: 3 });
}

#[test]
fn errors_do_not_quote_the_line() {
    let line = r#"{"type":"result","subtype":"success","is_error":"my secret prompt"}"#;
    let error = parse(line).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[test]
fn requests_of_the_cli_are_read() {
    let line = r#"{"type":"control_request","request_id":"4380","request":{"subtype":"mcp_message","server_name":"amas","message":{"method":"tools/call","id":2}}}"#;
    let Output::ControlRequest(request) = parse(line).unwrap() else { panic!() };
    assert_eq!(request.request_id, "4380");
    let RequestBody::McpMessage { server_name, message } = request.body else { panic!() };
    assert_eq!((&*server_name, message.get()), ("amas", r#"{"method":"tools/call","id":2}"#));

    let line = r#"{"type":"control_request","request_id":"b","request":{"subtype":"can_use_tool","tool_name":"t","input":{"x":"1"},"tool_use_id":"toolu_a9","permission_suggestions":[]}}"#;
    let Output::ControlRequest(request) = parse(line).unwrap() else { panic!() };
    let RequestBody::CanUseTool { tool_name, input, tool_use_id } = request.body else { panic!() };
    assert_eq!((&*tool_name, input.get(), tool_use_id.as_deref()), ("t", r#"{"x":"1"}"#, Some("toolu_a9")));

    let line = r#"{"type":"control_request","request_id":"c","request":{"subtype":"hook_callback","callback_id":"h0","input":{}}}"#;
    let Output::ControlRequest(request) = parse(line).unwrap() else { panic!() };
    assert!(matches!(request.body, RequestBody::HookCallback { callback_id, .. } if callback_id == "h0"));

    let line = r#"{"type":"control_request","request_id":"d","request":{"subtype":"later","x":1}}"#;
    let Output::ControlRequest(request) = parse(line).unwrap() else { panic!() };
    assert!(
        matches!(request.body, RequestBody::Other { raw, .. } if raw.get() == r#"{"subtype":"later","x":1}"#)
    );

    let Output::ControlCancel(cancel) =
        parse(r#"{"type":"control_cancel_request","request_id":"d"}"#).unwrap()
    else {
        panic!()
    };
    assert_eq!(cancel.request_id, "d");
}

#[test]
fn answers_of_the_cli_are_read() {
    let line = r#"{"type":"control_response","response":{"subtype":"success","request_id":"i","response":{"still_queued":["a"],"cancelled":[]}}}"#;
    let Output::ControlResponse(response) = parse(line).unwrap() else { panic!() };
    let Answer::Success(Some(body)) = response.answer else { panic!() };
    assert_eq!(InterruptResponse::parse(body).unwrap().still_queued, ["a"]);

    let line = r#"{"type":"control_response","response":{"subtype":"error","request_id":"i","error":"no","error_code":"unsupported_request"}}"#;
    let Output::ControlResponse(response) = parse(line).unwrap() else { panic!() };
    let Answer::Error { message, code } = response.answer else { panic!() };
    assert_eq!((&*message, code.as_deref()), ("no", Some("unsupported_request")));
}

/// The line is 2.1.330's, with an OAuth token; with a key the row is `API key`.
#[test]
fn the_cli_s_status_is_read_by_label() {
    let line = r#"{"type":"control_response","response":{"subtype":"success","request_id":"status-1","response":{"sections":[{"title":"Session","rows":[{"label":"Version","value":"2.1.330"},{"label":"cwd","value":"/w"},{"label":"Auth token","value":"CLAUDE_CODE_OAUTH_TOKEN"}]},{"title":"Environment","rows":[{"label":"Model","value":"claude-sonnet-5-5"},{"label":"Later","value":[1]},{"new":1}]}]}}}"#;
    let Output::ControlResponse(response) = parse(line).unwrap() else { panic!() };
    let Answer::Success(Some(body)) = response.answer else { panic!() };
    let status = StatusResponse::parse(body).unwrap();
    assert_eq!((status.row("Version"), status.row("Model")), (Some("2.1.330"), Some("claude-sonnet-5-5")));
    assert_eq!((status.row("Later"), status.row("nothing")), (None, None));
    assert_eq!(status.credential(), Some("CLAUDE_CODE_OAUTH_TOKEN"));
    let key = r#"{"sections":[{"rows":[{"label":"API key","value":"ANTHROPIC_API_KEY"}]}]}"#;
    let key = StatusResponse::parse(serde_json::from_str(key).unwrap()).unwrap();
    assert_eq!(key.credential(), Some("ANTHROPIC_API_KEY"));
    assert_eq!(StatusResponse::parse(serde_json::from_str("{}").unwrap()).unwrap().credential(), None);
}

#[test]
fn informational_lines_are_read() {
    let read = |line| parse(line).unwrap();
    let Output::RateLimit(limit) = read(
        r#"{"type":"rate_limit_event","rate_limit_info":{"status":"allowed"},"uuid":"u","session_id":"s"}"#,
    ) else {
        panic!()
    };
    assert_eq!(limit.rate_limit_info.get(), r#"{"status":"allowed"}"#);
    let Output::ThinkingTokens(tokens) =
        read(r#"{"type":"system","subtype":"thinking_tokens","estimated_tokens":7,"uuid":"u"}"#)
    else {
        panic!()
    };
    assert_eq!(tokens.estimated_tokens, 7);
    let Output::ApiRetry(retry) = read(
        r#"{"type":"system","subtype":"api_retry","attempt":1,"max_retries":2,"retry_delay_ms":525.5,"error_status":null,"error":"unknown"}"#,
    ) else {
        panic!()
    };
    assert_eq!((retry.delay().as_micros(), retry.error_status), (525_500, None));
    let Output::User(user) =
        read(r#"{"type":"user","message":{"role":"user","content":"hi"},"uuid":"u","isReplay":true}"#)
    else {
        panic!()
    };
    assert!(user.is_replay && matches!(user.content, Content::Text(text) if text == "hi"));
}

#[test]
fn nonsense_delays_are_no_delay() {
    for value in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
        assert!(milliseconds(Some(value)).is_zero());
    }
    assert!(milliseconds(None).is_zero());
}
