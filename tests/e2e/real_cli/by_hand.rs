//! The stand-in is what the real CLI expects: proven with a CLI that was started by hand, without any server.

use claude_comms_tests::{
    Gate, MessagesApi, Reply,
    claude_by_hand::ClaudeByHand,
    messages_api::{Authentication, Ending},
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_turn_is_one_request_and_its_history_grows() {
    let api = MessagesApi::start().await;
    let mut claude = ClaudeByHand::start(&api).await;
    api.queue(Reply::tokens(3));
    api.queue(Reply::history());
    let first = claude.ask("one").await;
    assert_eq!(first.deltas(), ["tok0 ", "tok1 ", "tok2 "]);
    assert_eq!(first.result()["result"], "tok0 tok1 tok2 ");
    assert_eq!(first.result()["is_error"], false);
    let second = claude.ask("two").await;
    assert_eq!(second.result()["result"], "heard 2: one ... two");
    assert_eq!(api.user_texts(1), ["one", "two"]);
    assert_eq!(api.requests()[1].assistant_texts(), ["tok0 tok1 tok2 "]);
    assert_eq!(api.requests().len(), 2);
    assert_eq!(api.requests()[0].authentication, Authentication::ApiKey);
    assert!(api.requests()[0].system_texts().contains(&"Stand-in test.".to_owned()));
    assert_eq!((api.count_tokens_calls(), api.unexpected()), (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_read_as_the_messages_api_means_them() {
    let api = MessagesApi::start().await;
    let mut claude = ClaudeByHand::start(&api).await;
    for (status, requests) in [(401, 2), (403, 1), (404, 2), (500, 2), (529, 2)] {
        let before = api.requests().len();
        api.otherwise(Reply::error(status));
        let turn = claude.ask(&format!("status {status}")).await;
        assert_eq!(turn.result()["api_error_status"], status, "{}", turn.result());
        assert_eq!(turn.result()["is_error"], true);
        assert_eq!(api.requests().len() - before, requests, "requests of {status}");
    }
    api.otherwise(Reply::rate_limited(0));
    let limited = claude.ask("limited").await;
    assert_eq!(limited.result()["api_error_status"], 429);
    assert_eq!(limited.count("system", "api_retry"), 1);
    api.otherwise(Reply::prompt_too_long());
    let long = claude.ask("long").await;
    assert_eq!(long.result()["api_error_status"], 400);
    assert!(long.result()["result"].as_str().unwrap().starts_with("Prompt is too long"), "{}", long.result());
    api.otherwise(Reply::echo());
    assert_eq!(claude.ask("well again").await.result()["result"], "well again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_stream_is_tried_again_and_an_error_event_falls_back_to_a_whole_answer() {
    let api = MessagesApi::start().await;
    let mut claude = ClaudeByHand::start(&api).await;
    let gate = Gate::new();
    api.queue(Reply::tokens(5).held_after(3, &gate).cut_after(3));
    claude.send("again").await;
    while claude.next_line().await["event"]["delta"]["text"] != "tok2 " {}
    gate.open();
    let cut = claude.to_result().await;
    assert_eq!(cut.result()["result"], "again");
    assert_eq!(cut.count("system", "api_retry"), 1);
    assert_eq!(cut.deltas(), ["again"], "the text starts again");
    assert_eq!(api.ending(0), Ending::Cut);
    api.queue(Reply::tokens(5).error_event_after(2));
    let error = claude.ask("whole").await;
    assert_eq!(error.result()["result"], "whole");
    let asked: Vec<bool> =
        api.requests().iter().map(claude_comms_tests::messages_api::Request::streams).collect();
    assert_eq!(asked, [true, true, true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_drops_the_request_and_the_process_stays() {
    let api = MessagesApi::start().await;
    let mut claude = ClaudeByHand::start(&api).await;
    let gate = Gate::new();
    api.queue(Reply::tokens(9).held_after(2, &gate));
    claude.send("long").await;
    gate.arrived(1).await;
    claude.control(json!({"subtype": "interrupt"})).await;
    let turn = claude.to_result().await;
    assert_eq!(turn.result()["terminal_reason"], "aborted_streaming");
    assert_eq!(api.wait_for_ending(0).await, Ending::ListenerLeft);
    api.queue(Reply::silence());
    claude.send("silent").await;
    api.wait_for_requests(2).await;
    claude.control(json!({"subtype": "interrupt"})).await;
    claude.to_result().await;
    assert_eq!(claude.ask("still here").await.result()["is_error"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn thinking_and_ten_thousand_deltas_arrive_whole() {
    let api = MessagesApi::start().await;
    let mut claude = ClaudeByHand::start(&api).await;
    api.queue(Reply::text("thought").thinking("hm"));
    assert_eq!(claude.ask("think").await.result()["result"], "thought");
    api.queue(Reply::tokens(10_000));
    let turn = claude.ask("many").await;
    assert_eq!(turn.deltas().len(), 10_000);
    assert_eq!(turn.result()["result"], turn.deltas().concat());
}
