//! Questions to modules over a wire that is cut: one question is one turn, and what is not the same twice is not repeated.

use crate::support::{Mishap, Rig, Step, joined};
use claude_comms_client::{Error, TurnUpdate, text_parameters, v1};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

const SCRIPT: &[Step] = &[
    Step::Started,
    Step::Text("wrong"),
    Step::Reset,
    Step::Text("Store the pages "),
    Step::Text("as documents."),
    Step::Completed,
];
const ANSWER: &str = "Store the pages as documents.";

fn question() -> v1::QueryModuleRequest {
    v1::QueryModuleRequest {
        source: "marker".into(),
        target: "arangodb".into(),
        prompt: "Where do my pages go?".into(),
        parameters: Some(text_parameters([("depth", "2")])),
        ..Default::default()
    }
}

fn cut(rig: &Rig, times: usize) {
    let mut mishaps = rig.state.mishaps.lock().expect("lock");
    mishaps.extend(std::iter::repeat_with(|| Mishap::CutAfterTaking).take(times));
}

#[tokio::test]
async fn a_question_that_is_cut_off_before_it_is_accepted_is_one_turn() {
    let rig = Rig::start(SCRIPT);
    cut(&rig, 3);
    let answer = rig.client.ask_module(question()).await.expect("answer");
    assert_eq!(answer.text, ANSWER);
    assert_eq!(rig.calls("query_module"), 4);
    let ids = rig.state.request_ids.lock().expect("lock");
    assert_eq!(ids.len(), 1, "one request_id is one turn");
    assert!(!ids.contains(""), "the client made one");
}

#[tokio::test]
async fn the_callers_own_request_id_is_kept() {
    let rig = Rig::start(SCRIPT);
    let request = v1::QueryModuleRequest { request_id: "mine".into(), ..question() };
    rig.client.ask_module(request).await.expect("answer");
    assert!(rig.state.request_ids.lock().expect("lock").contains("mine"));
}

#[tokio::test]
async fn a_cut_within_the_answer_goes_on_with_the_turn_and_does_not_ask_again() {
    for at in 1..=SCRIPT.len() {
        let rig = Rig::start(SCRIPT);
        rig.state.allowed.send_replace(1);
        let mut stream = rig.client.query_module(question()).await.expect("accepted");
        let mut seen = Vec::new();
        while let Some(event) = stream.next().await {
            seen.push(event.expect("the stream goes on"));
            if seen.len() == at {
                rig.state.cut();
            }
            rig.state.allowed.send_modify(|allowed| *allowed += 1);
        }
        assert_eq!(joined(&seen), ANSWER, "cut after {at}");
        assert!(matches!(seen.last().expect("events").update, TurnUpdate::Completed(_)));
        assert_eq!(rig.calls("query_module"), 1, "cut after {at}");
        assert_eq!(rig.calls("watch_turn"), 1, "cut after {at}");
    }
}

#[tokio::test]
async fn a_question_in_the_background_is_sent_again_as_the_same_turn() {
    let rig = Rig::start(&[]);
    cut(&rig, 1);
    let request = v1::SubmitModuleQueryRequest { target: "arangodb".into(), ..Default::default() };
    let turn = rig.client.submit_module_query(request).await.expect("turn");
    assert_eq!(rig.calls("submit_module_query"), 2);
    let ids = rig.state.request_ids.lock().expect("lock");
    assert_eq!(ids.iter().collect::<Vec<_>>(), [&turn.request_id]);
}

#[tokio::test]
async fn a_module_that_does_not_know_is_an_error_with_its_reason() {
    let rig = Rig::start(&[Step::Started, Step::Failed("UNANSWERABLE")]);
    let error = rig.client.ask_module(question()).await.expect_err("no answer");
    assert!(matches!(error, Error::TurnFailed { .. }), "{error:?}");
    assert_eq!(error.reason(), Some("UNANSWERABLE"));
}

#[tokio::test]
async fn an_unknown_module_is_said_in_the_servers_words_and_not_asked_again() {
    let rig = Rig::start(&[]);
    let details = ErrorDetails::with_error_info("MODULE_NOT_FOUND", "claude-comms", []);
    let words = "no module is named `arangdb`; did you mean arangodb?";
    let status = Status::with_error_details(Code::NotFound, words, details);
    rig.state.mishaps.lock().expect("lock").push_back(Mishap::Refuse(status));
    let error = rig.client.query_module(question()).await.expect_err("unknown");
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
    assert_eq!((error.to_string().as_str(), error.reason()), (words, Some("MODULE_NOT_FOUND")));
    assert_eq!(rig.calls("query_module"), 1);
}

#[tokio::test]
async fn calls_that_are_the_same_twice_are_repeated_after_a_cut() {
    let rig = Rig::start(&[]);
    let client = &rig.client;
    let register = v1::RegisterModuleRequest { name: "marker".into(), ..Default::default() };
    cut(&rig, 1);
    assert_eq!(client.register_module(register).await.expect("repeated").name, "marker");
    cut(&rig, 1);
    client.get_module(v1::GetModuleRequest::default()).await.expect("repeated");
    cut(&rig, 1);
    client.list_modules(v1::ListModulesRequest::default()).await.expect("repeated");
    cut(&rig, 1);
    client.update_module(v1::UpdateModuleRequest::default()).await.expect("repeated");
    cut(&rig, 1);
    assert_eq!(client.discover_modules(Default::default()).await.expect("repeated").total, 1);
    cut(&rig, 1);
    client.preview_context(v1::PreviewContextRequest::default()).await.expect("repeated");
    for call in ["register_module", "get_module", "list_modules", "update_module", "discover_modules"] {
        assert_eq!(rig.calls(call), 2, "{call}");
    }
    assert_eq!(rig.calls("preview_context"), 2);
}

#[tokio::test]
async fn calls_that_would_fail_or_count_the_second_time_are_not_repeated() {
    let rig = Rig::start(&[]);
    let client = &rig.client;
    cut(&rig, 1);
    let error = client.unregister_module("marker").await.expect_err("unknown outcome");
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    cut(&rig, 1);
    let request = v1::UpdateModuleRequest { expected_digest: "ab".into(), ..Default::default() };
    client.update_module(request).await.expect_err("unknown outcome");
    cut(&rig, 1);
    client.upgrade_conversation("c").await.expect_err("unknown outcome");
    for call in ["unregister_module", "update_module", "upgrade_conversation"] {
        assert_eq!(rig.calls(call), 1, "{call}");
    }
    assert_eq!(client.upgrade_conversation("c").await.expect("upgraded").context_revision, 1);
}
