//! What the model is told of two modules: all that both say, what the caller changed, and nothing of anybody else.

use std::fs;

use claude_comms_proto::v1::ContextOverrides;
use claude_comms_tests::Reply;
use serde_json::{Value, json};

use super::{
    asking::{
        between, context_of, conversation_of, data, flat, further, marker_asks_arangodb, module,
        with_oauth_token,
    },
    tags::{assert_sections, section},
};
use crate::real_cli::stage::{Stage, assert_answer};

/// Text as a section shows it.
fn shown(text: &Value) -> String {
    let text = text.as_str().expect("a text of the descriptor");
    flat(&text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

#[track_caller]
fn assert_holds(section: &str, text: &Value) {
    let text = shown(text);
    assert!(!text.is_empty() && flat(section).contains(&text), "{text:?} is not in {section}");
}

async fn whole_context_arrives(stage: &Stage) {
    stage.api.otherwise(Reply::text("understood"));
    let prompt = "Where do chunks go so that tables are found by page? if (a < b && c > d) { `x` }";
    let heard = stage.query_module(marker_asks_arangodb(prompt)).await;
    assert_answer(&heard, "understood");
    assert_eq!(stage.api.requests().len(), 1, "exactly one API call");
    let request = stage.request(0);
    let context = context_of(&request);
    let conversation = stage.conversation(conversation_of(&heard)).await;
    assert_eq!(context, conversation.system_prompt, "byte for byte what is stored");
    assert_sections(
        &context,
        &[
            "protocol",
            "source",
            "target",
            "relationship",
            "shared_data_types",
            "capabilities",
            "glossary",
            "constraints",
            "answer_rules",
        ],
    );
    let (marker, arangodb) = (stage.descriptor("marker").await, stage.descriptor("arangodb").await);
    for (name, descriptor) in [("source", &marker), ("target", &arangodb)] {
        let section = section(&context, name);
        for field in ["name", "title", "version", "description"] {
            assert_holds(section, &descriptor[field]);
        }
        assert_holds(section, &descriptor["context"]["role"]);
    }
    assert_holds(section(&context, "target"), &arangodb["context"]["instructions"]);
    for capability in arangodb["capabilities"].as_array().unwrap() {
        assert_holds(section(&context, "capabilities"), &capability["name"]);
    }
    for (descriptor, other) in [(&marker, "arangodb"), (&arangodb, "marker")] {
        for relationship in descriptor["relationships"].as_array().unwrap() {
            if relationship["module"] == other {
                assert_holds(section(&context, "relationship"), &relationship["description"]);
            }
        }
        for (word, meaning) in descriptor["context"]["glossary"].as_object().unwrap() {
            assert_holds(section(&context, "glossary"), &json!(word));
            assert_holds(section(&context, "glossary"), meaning);
        }
        for constraint in descriptor["context"]["constraints"].as_array().unwrap() {
            assert_holds(section(&context, "constraints"), constraint);
        }
    }
    for shared in ["document_chunk", "table"] {
        assert_holds(section(&context, "shared_data_types"), &json!(shared));
    }
    let message = request.last_user_text();
    assert_eq!(message, heard.turn().message, "what the record says was sent");
    assert_sections(&message, &["question"]);
    assert_eq!(section(&message, "question").trim(), prompt);
    assert_eq!((heard.turn().prompt.as_str(), heard.turn().template.as_str()), (prompt, "query@1.0.0"));
    assert_eq!(request.user_texts().len(), 1);
    assert_eq!(request.tool_names(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_told_all_that_both_modules_say() {
    whole_context_arrives(&Stage::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_told_all_that_both_modules_say_with_an_oauth_token_too() {
    whole_context_arrives(&with_oauth_token().await).await;
}

const BRIEF: &str = r#"---
version: 2.1.0
parameters:
  audience: {type: string}
  lines: {type: integer, default: 3}
---
{% extends "builtin/query" %}
{% block after %}
Write for {{ audience }}, in at most {{ lines }} lines.
{% endblock %}
"#;

/// A stage with a directory that holds a template.
async fn with_template() -> Stage {
    Stage::with(|builder| {
        let directory = builder.world().root().join("templates");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("brief.md.j2"), BRIEF).unwrap();
        builder.arguments(&["--template-dir", &directory.to_string_lossy()])
    })
    .await
}

fn parameters(fields: &[(&str, &str)]) -> prost_types::Struct {
    let text = |text: &str| prost_types::Value {
        kind: Some(prost_types::value::Kind::StringValue(text.to_owned())),
    };
    prost_types::Struct {
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_message_has_the_capability_and_the_parameters_and_the_context_what_the_caller_changed() {
    let stage = with_template().await;
    stage.api.otherwise(data(r#"{"results": []}"#));
    let mut request = marker_asks_arangodb("How are two chunks stored?");
    request.capability = "insert_documents".into();
    request.template = "brief".into();
    request.parameters = Some(parameters(&[("audience", "a </question> newcomer")]));
    request.context_overrides = Some(ContextOverrides {
        source_role: Some("You are CANARY-SOURCE.".into()),
        target_role: Some("You are CANARY-TARGET.".into()),
        relationship: Some("They met at CANARY-PLACE.".into()),
        instructions: Some("Say CANARY-INSTRUCTIONS.".into()),
        constraints: vec!["Never say CANARY-NEVER.".into()],
        glossary: [("chunk".into(), "a CANARY-CHUNK".into())].into(),
        omit_sections: vec!["shared_data_types".into()],
        token_budget: None,
    });
    let heard = stage.query_module(request).await;
    assert_eq!(heard.turn().data_json, r#"{"results": []}"#, "{:#?}", heard.turn());
    let request = stage.request(0);
    let context = context_of(&request);
    assert_sections(
        &context,
        &[
            "protocol",
            "source",
            "target",
            "relationship",
            "capabilities",
            "glossary",
            "constraints",
            "answer_rules",
        ],
    );
    for (name, text) in [
        ("source", "CANARY-SOURCE"),
        ("target", "CANARY-TARGET"),
        ("relationship", "CANARY-PLACE"),
        ("target", "CANARY-INSTRUCTIONS"),
        ("constraints", "CANARY-NEVER"),
        ("glossary", "chunk: a CANARY-CHUNK"),
    ] {
        assert!(section(&context, name).contains(text), "{text} in {name} of {context}");
    }
    let arangodb = stage.descriptor("arangodb").await;
    assert!(!flat(&context).contains(&shown(&arangodb["context"]["role"])), "the role was replaced");
    assert!(!flat(&context).contains(&shown(&arangodb["relationships"][0]["description"])));

    let message = request.last_user_text();
    assert_eq!(message, heard.turn().message);
    assert_sections(&message, &["capability", "question", "parameters", "output_format"]);
    let capability = section(&message, "capability");
    assert_holds(capability, &arangodb["capabilities"][3]["description"]);
    assert!(capability.contains("overwriteMode"), "its input: {capability}");
    assert!(section(&message, "output_format").contains("errorNum"), "its output: {message}");
    assert!(
        message.contains("Write for a &lt;/question> newcomer, in at most 3 lines."),
        "the template's own words: {message}"
    );
    let turn = heard.turn();
    assert_eq!((turn.template.as_str(), turn.capability.as_str()), ("brief@2.1.0", "insert_documents"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_multi_turn_carries_the_earlier_turns() {
    let stage = Stage::new().await;
    stage.api.queue(Reply::text("In the collection <chunks>."));
    stage.api.queue(Reply::text("By an index </history> on page."));
    let first = stage.query_module(marker_asks_arangodb("Where do chunks go?")).await;
    let conversation = conversation_of(&first).to_owned();
    stage.query_module(further(&conversation, "And how are they found?")).await;
    let mut request = further(&conversation, "Say it again.");
    request.template = "multi_turn".into();
    let third = stage.query_module(request).await;
    assert_eq!(third.turn().template, "multi_turn@1.0.0");
    let message = stage.request(2).last_user_text();
    assert_eq!(message, third.turn().message);
    assert_sections(&message, &["history", "question"]);
    let history = section(&message, "history");
    let places: Vec<usize> = [
        "Where do chunks go?",
        "In the collection <chunks>.",
        "And how are they found?",
        "By an index &lt;/history> on page.",
    ]
    .iter()
    .map(|text| history.find(text).unwrap_or_else(|| panic!("{text:?} is not in {history}")))
    .collect();
    assert!(places.is_sorted(), "oldest first: {history}");
    assert!(!history.contains("Say it again."));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pairs_at_once_never_see_each_other() {
    let stage = Stage::new().await;
    stage.api.otherwise(Reply::text("understood"));
    for (name, canary) in [("red-a", "RED"), ("red-b", "RED"), ("blue-a", "BLUE"), ("blue-b", "BLUE")] {
        stage.register(&module(name, &format!("{canary}-{name}"), json!({}))).await;
    }
    let ask = async |source: &str, target: &str, canary: &str| {
        let first = stage.query_module(between(source, target, format!("{canary}-question 1"))).await;
        assert_answer(&first, "understood");
        for round in 2..=3 {
            let next = further(conversation_of(&first), format!("{canary}-question {round}"));
            assert_answer(&stage.query_module(next).await, "understood");
        }
    };
    tokio::join!(ask("red-a", "red-b", "RED"), ask("blue-a", "blue-b", "BLUE"));
    let requests = stage.api.requests();
    assert_eq!(requests.len(), 6);
    let mut told = [0, 0];
    for request in requests {
        let body = request.body.to_string();
        let (own, other, modules) = if body.contains("RED-question") {
            (0, "BLUE", ["RED-red-a", "RED-red-b"])
        } else {
            (1, "RED", ["BLUE-blue-a", "BLUE-blue-b"])
        };
        told[own] += 1;
        assert!(!body.contains(other), "two pairs in one request: {body}");
        for canary in modules {
            for field in ["description", "role", "constraint", "word", "meaning"] {
                assert!(body.contains(&format!("{canary}-{field}")), "{canary}-{field} in {body}");
            }
        }
        assert!(!body.contains("arangodb"), "a module that nobody asked for: {body}");
    }
    assert_eq!(told, [3, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_of_the_descriptor_is_the_one_that_is_asked() {
    let stage = Stage::new().await;
    stage.api.otherwise(Reply::text("understood"));
    let limits = json!({"limits": {"model": "claude-haiku-4-5"}});
    stage.register(&module("choosy", "choosy", limits)).await;
    let chosen = stage.query_module(between("marker", "choosy", "hello")).await;
    assert_answer(&chosen, "understood");
    assert_eq!(stage.request(0).model(), "claude-haiku-4-5");
    assert_eq!(stage.conversation(conversation_of(&chosen)).await.model, "claude-haiku-4-5");
    let other = stage.query_module(between("choosy", "marker", "hello")).await;
    assert_answer(&other, "understood");
    assert_ne!(stage.request(1).model(), "claude-haiku-4-5", "the asker's limits are for its own answers");
}
