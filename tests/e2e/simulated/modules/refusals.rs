//! Modules that cannot be had or registered: each refusal names what is wrong, all of it, and nothing was started.

use claude_comms_proto::v1::{
    CreateConversationRequest, DiscoverModulesRequest, ListModulesRequest, RegisterModuleRequest,
    UpdateModuleRequest,
};
use claude_comms_tests::{TestServer, client::bad_fields};
use serde_json::json;
use tonic::{Code, Status};

use super::support::{
    descriptor, module, modules, question, register_request, revision, try_query, try_register,
    try_submit_query, unregister, with_role,
};
use crate::simulated::support::{bad_input, children, refused, turns};

#[tokio::test]
async fn an_unknown_module_is_named_with_near_ones_and_nothing_is_started() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let named = |status: Status| {
        assert!(status.message().contains("arangodb"), "a near match is named: {status:?}");
        assert!(status.message().contains("arangdb"), "what was looked for is named: {status:?}");
    };
    let not_found = (Code::NotFound, "MODULE_NOT_FOUND");
    named(refused(module(&client, "arangdb").await, not_found.0, not_found.1));
    named(refused(unregister(&client, "arangdb").await, Code::NotFound, "MODULE_NOT_REGISTERED"));
    for (source, target) in [("", "arangdb"), ("marker", "arangdb"), ("arangdb", "marker")] {
        let asked = question(source, target, "x");
        named(refused(try_query(&client, asked.clone()).await, not_found.0, not_found.1));
        named(refused(try_submit_query(&client, asked).await, not_found.0, not_found.1));
        let create = CreateConversationRequest {
            source_module: source.into(),
            target_module: target.into(),
            ..Default::default()
        };
        let made = client.conversations.clone().create_conversation(create).await;
        named(refused(made, not_found.0, not_found.1));
    }
    assert!(turns(&client, "").await.is_empty());
    assert!(children(&server).is_empty(), "no process was started");
    let list = claude_comms_proto::v1::ListConversationsRequest::default();
    let all = client.conversations.clone().list_conversations(list).await.unwrap().into_inner();
    assert!(all.conversations.is_empty(), "no conversation was made: {all:?}");
}

#[tokio::test]
async fn every_problem_of_a_bad_descriptor_is_a_violation_with_its_place() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let bad = "schema: claude-comms/module/v1\nname: one\nversion: 1.0\ndescription: \"\"\ncapabilitys: []\n\
               tags: [database, 3]\nrelationships: [{module: two, kind: consume}]\nlimits: {timeout: soon}\n";
    for update in [false, true] {
        let result = if update {
            let request =
                UpdateModuleRequest { name: "one".into(), descriptor: bad.into(), ..Default::default() };
            client.modules.clone().update_module(request).await.map(tonic::Response::into_inner)
        } else {
            register_request(&client, RegisterModuleRequest { descriptor: bad.into(), ..Default::default() })
                .await
        };
        let status = refused(result, Code::InvalidArgument, "INVALID_ARGUMENT");
        assert_eq!(
            bad_fields(&status),
            [
                "descriptor:3: version",
                "descriptor:4: description",
                "descriptor:5: capabilitys",
                "descriptor:6: tags[1]",
                "descriptor:7: relationships[0].kind",
                "descriptor:8: limits.timeout"
            ],
            "{status:?}"
        );
        assert!(status.message().contains("did you mean \"capabilities\"?"), "{status:?}");
    }
    for text in ["", "not a mapping", "{", "schema: [", "\u{1}"] {
        let result = register_request(
            &client,
            RegisterModuleRequest { descriptor: text.into(), ..Default::default() },
        );
        refused(result.await, Code::InvalidArgument, "INVALID_ARGUMENT");
    }
    let huge = with_role("one", "1.0.0", &"x".repeat(600 << 10));
    let status = bad_input(try_register(&client, &huge).await, &["descriptor"]);
    assert!(status.message().contains("524288"), "{status:?}");
    assert_eq!(modules(&client, 0).await.len(), 3, "nothing was registered");
}

#[tokio::test]
async fn a_template_file_is_refused_and_an_inlined_one_must_compile() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    std::fs::write(server.world().root().join("secret.j2"), "secret").unwrap();
    for file in ["secret.j2", "/etc/hostname", "../secret.j2"] {
        let with_file = descriptor("one", "1.0.0", json!({"context": {"templates": {"query": file}}}));
        let status =
            refused(try_register(&client, &with_file).await, Code::InvalidArgument, "INVALID_ARGUMENT");
        let fields = bad_fields(&status);
        assert!(fields.len() == 1 && fields[0].ends_with("context.templates.query"), "{status:?}");
        assert!(status.message().contains("inline"), "it says what to do: {status:?}");
    }
    for (text, word) in
        [("{% if %}", "line 1"), ("{% extends \"builtin/qery\" %}", "query"), ("{{ prompt | safe }}", "safe")]
    {
        let fields = json!({"context": {"templates": {"query": {"inline": text}}}});
        let result = try_register(&client, &descriptor("one", "1.0.0", fields)).await;
        let status = refused(result, Code::InvalidArgument, "INVALID_ARGUMENT");
        assert!(status.message().contains(word), "{word} in {status:?}");
        assert!(bad_fields(&status)[0].contains("context.templates.query"), "{status:?}");
    }
    assert_eq!(modules(&client, 0).await.len(), 3);
}

#[tokio::test]
async fn bad_fields_of_module_requests_are_all_named() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let mut service = client.modules.clone();
    let other = RegisterModuleRequest {
        name: "two".into(),
        descriptor: with_role("one", "1.0.0", "x").to_string(),
        ..Default::default()
    };
    let status = bad_input(register_request(&client, other).await, &["name"]);
    assert!(status.message().contains("\"one\""), "{status:?}");
    for name in ["", "Bad Name", "-x", "ä", &"a".repeat(64)] {
        bad_input(module(&client, name).await, &["name"]);
        bad_input(unregister(&client, name).await, &["name"]);
    }
    bad_input(revision(&client, "marker", "", 1).await, &["revision"]);
    let list = ListModulesRequest { page_size: 1001, origin: 9, ..Default::default() };
    bad_input(service.list_modules(list).await, &["page_size", "origin"]);
    let find = DiscoverModulesRequest { page_size: -1, page_token: "x".into(), ..Default::default() };
    bad_input(service.discover_modules(find).await, &["page_size", "page_token"]);
    let mut asked = question("Bad", "", "x\0");
    asked.capability = "Also Bad".into();
    asked.template = "no/template".into();
    asked.request_id = "y".into();
    let fields = ["prompt", "source", "capability", "template", "request_id", "target"];
    bad_input(try_query(&client, asked.clone()).await, &fields);
    bad_input(try_submit_query(&client, asked).await, &fields);
    let both = CreateConversationRequest {
        target_module: "marker".into(),
        system_prompt: "mine".into(),
        ..Default::default()
    };
    bad_input(client.conversations.clone().create_conversation(both).await, &["system_prompt"]);
    let alone = CreateConversationRequest { source_module: "marker".into(), ..Default::default() };
    bad_input(client.conversations.clone().create_conversation(alone).await, &["target_module"]);
}
