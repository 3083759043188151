//! What Claude is told: shown before it is asked, changed by overrides, kept within its tokens.

use claude_comms_proto::v1::{
    ContextOverrides, ContextPreview, ContextSection, CreateConversationRequest, PreviewContextRequest,
    QueryModuleRequest, SectionPlace,
};
use claude_comms_tests::{Client, TestServer};
use serde_json::json;
use tonic::{Code, Status};

use super::support::{
    conversation, counter, descriptor, parameters, query, question, register, try_query, unregister,
};
use crate::simulated::support::{bad_input, children, completed, playing_turns, refused, turns};

async fn try_preview(client: &Client, asked: &QueryModuleRequest) -> Result<ContextPreview, Status> {
    let request = PreviewContextRequest {
        source: asked.source.clone(),
        target: asked.target.clone(),
        prompt: asked.prompt.clone(),
        conversation_id: asked.conversation_id.clone(),
        capability: asked.capability.clone(),
        output_schema: asked.output_schema.clone(),
        template: asked.template.clone(),
        parameters: asked.parameters.clone(),
        context_overrides: asked.context_overrides.clone(),
    };
    client.modules.clone().preview_context(request).await.map(tonic::Response::into_inner)
}

/// The preview of a question and what was really sent for it are the same, to the byte.
async fn told_as_shown(client: &Client, asked: QueryModuleRequest) -> ContextPreview {
    let shown = try_preview(client, &asked).await.expect("a preview");
    let heard = query(client, asked.clone()).await;
    completed(heard.turn());
    let made = conversation(client, &heard.turn().conversation_id).await;
    let next = QueryModuleRequest { conversation_id: made.id.clone(), context_overrides: None, ..asked };
    let next = try_preview(client, &next).await.expect("a preview of the next question");
    assert_eq!(of_system_prompt(&next), of_system_prompt(&shown), "it stays what it is");
    assert_eq!((&shown.message, &shown.template), (&heard.turn().message, &heard.turn().template));
    assert_eq!(shown.system_prompt, made.system_prompt);
    assert_eq!((&shown.source_version, &shown.target_version), (&made.source_version, &made.target_version));
    assert!(shown.truncated_fields.is_empty() && shown.estimated_tokens > 0, "{shown:?}");
    assert!(shown.estimated_tokens <= shown.token_budget, "{shown:?}");
    shown
}

fn of_system_prompt(preview: &ContextPreview) -> (&str, Vec<&ContextSection>) {
    let sections = preview.sections.iter();
    (&preview.system_prompt, sections.filter(|one| one.place() == SectionPlace::SystemPrompt).collect())
}

#[tokio::test]
async fn a_preview_is_what_is_really_told_and_starts_nothing() {
    let rows = "```json\\n{\\\"rows\\\": []}\\n```";
    let scenario =
        format!("turns:\n  - {{ when: {{ contains: list rows }}, steps: [{{ text: \"{rows}\" }}] }}\n");
    let server = playing_turns(&scenario).start().await;
    let client = server.client().await;
    let asked = question("marker", "arangodb", "How do I store a table?");
    let shown = try_preview(&client, &asked).await.unwrap();
    assert!(turns(&client, "").await.is_empty() && children(&server).is_empty());
    let names: Vec<&str> = shown.sections.iter().map(|section| section.name.as_str()).collect();
    for name in ["protocol", "source", "target", "relationship", "capabilities", "question"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    told_as_shown(&client, asked.clone()).await;
    told_as_shown(&client, question("", "arangodb", "a person's")).await;
    told_as_shown(
        &client,
        QueryModuleRequest { capability: "run_aql".into(), prompt: "list rows".into(), ..asked.clone() },
    )
    .await;
    let schema = json!({"type": "object", "description": "</output_format>"}).to_string();
    let with_schema = QueryModuleRequest { output_schema: schema, ..asked.clone() };
    let shown = try_preview(&client, &with_schema).await.unwrap();
    let heard = query(&client, with_schema).await;
    assert_eq!(shown.message, heard.turn().message);
    assert_eq!(
        shown.message.matches("</output_format>").count(),
        1,
        "a schema closes nothing: {}",
        shown.message
    );
    let response = QueryModuleRequest {
        template: "response".into(),
        parameters: parameters(json!({"request": "r"})),
        ..asked
    };
    let first = told_as_shown(&client, response).await;
    assert_eq!(first.template, "response@1.0.0");

    // In a conversation that goes on, also when its module is gone.
    register(&client, &counter()).await;
    let heard = query(&client, question("marker", "counter", "first")).await;
    unregister(&client, "counter").await.unwrap();
    let mut later = question("", "", "second");
    later.conversation_id.clone_from(&heard.turn().conversation_id);
    let shown = told_as_shown(&client, later).await;
    assert_eq!(shown.template, "follow_up@1.0.0");
    assert!(shown.sections.iter().any(|section| section.name == "target"), "{shown:?}");
}

#[tokio::test]
async fn overrides_change_one_conversation_and_no_module() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let overrides = ContextOverrides {
        source_role: Some("You ask as a botanist.".into()),
        target_role: Some("You are a herbarium.".into()),
        relationship: Some("They exchange leaves.".into()),
        instructions: Some("Answer in Latin names.".into()),
        constraints: vec!["Never press a flower.".into()],
        glossary: [("leaf".into(), "A document of the herbarium.".into())].into(),
        omit_sections: vec!["capabilities".into()],
        token_budget: Some(20_000),
    };
    let mut asked = question("marker", "arangodb", "What is a leaf?");
    asked.context_overrides = Some(overrides.clone());
    let shown = told_as_shown(&client, asked.clone()).await;
    for text in [
        "botanist",
        "herbarium",
        "exchange leaves",
        "Latin names",
        "press a flower",
        "A document of the herbarium.",
    ] {
        assert!(shown.system_prompt.contains(text), "{text} in {}", shown.system_prompt);
    }
    assert!(!shown.system_prompt.contains("<capabilities>") && shown.token_budget == 20_000, "{shown:?}");
    assert!(shown.omitted.iter().any(|omitted| omitted.section == "capabilities"), "{:?}", shown.omitted);
    let plain = told_as_shown(&client, question("marker", "arangodb", "What is a leaf?")).await;
    assert!(!plain.system_prompt.contains("herbarium") && plain.system_prompt.contains("<capabilities>"));
    let create = CreateConversationRequest {
        source_module: "marker".into(),
        target_module: "arangodb".into(),
        context_overrides: Some(overrides),
        ..Default::default()
    };
    let made = client.conversations.clone().create_conversation(create).await.unwrap().into_inner();
    assert!(made.system_prompt.contains("herbarium"), "{made:?}");

    asked.conversation_id.clone_from(&made.id);
    bad_input(try_query(&client, asked.clone()).await, &["context_overrides"]);
    bad_input(try_preview(&client, &asked).await, &["context_overrides"]);
    asked.conversation_id.clear();
    asked.context_overrides = Some(ContextOverrides {
        omit_sections: vec!["glosary".into()],
        token_budget: Some(1),
        ..Default::default()
    });
    let fields = ["context_overrides.omit_sections", "context_overrides.token_budget"];
    let status = refused(try_query(&client, asked).await, Code::InvalidArgument, "INVALID_ARGUMENT");
    let mut named: Vec<String> = claude_comms_tests::client::bad_fields(&status);
    named.sort();
    for (named, field) in named.iter().zip(fields) {
        assert!(named.starts_with(field), "{status:?}");
    }
    assert!(named.len() == 2 && status.message().contains("glossary"), "{status:?}");
}

#[tokio::test]
async fn a_small_budget_leaves_out_and_says_so_and_a_too_small_one_is_refused() {
    let server = TestServer::simulated().configuration("context:\n  token_budget: 3000\n").start().await;
    let client = server.client().await;
    let capability = |number: usize| {
        let words = "which is described at some length ".repeat(6);
        json!({"name": format!("do_{number}"), "description": format!("Does {number}, {words}."),
               "input": {"type": "object", "properties": {"value": {"type": "string", "description": words}}}})
    };
    let many: Vec<_> = (0..60).map(capability).collect();
    register(&client, &descriptor("large", "1.0.0", json!({"capabilities": many}))).await;
    let mut asked = question("", "large", "Do 42!");
    asked.capability = "do_42".into();
    let shown = told_as_shown(&client, asked.clone()).await;
    assert_eq!(shown.token_budget, 3000);
    assert!(
        !shown.omitted.is_empty() && shown.omitted.iter().all(|omitted| omitted.why == "token budget"),
        "{shown:?}"
    );
    assert!(shown.message.contains("do_42"), "what was named is never left out");
    asked.context_overrides = Some(ContextOverrides { token_budget: Some(60_000), ..Default::default() });
    let whole = told_as_shown(&client, asked.clone()).await;
    assert!(
        whole.omitted.is_empty() && whole.estimated_tokens > shown.estimated_tokens,
        "{:?}",
        whole.omitted
    );

    asked.context_overrides = Some(ContextOverrides { token_budget: Some(500), ..Default::default() });
    asked.prompt = "word ".repeat(2000);
    let before = turns(&client, "").await.len();
    let status =
        refused(try_query(&client, asked.clone()).await, Code::InvalidArgument, "TOKEN_BUDGET_TOO_SMALL");
    assert!(status.message().contains("500") && status.message().contains("tokens"), "{status:?}");
    refused(try_preview(&client, &asked).await, Code::InvalidArgument, "TOKEN_BUDGET_TOO_SMALL");
    assert_eq!(turns(&client, "").await.len(), before);
}
