//! Registered modules: their versions and revisions, kept over restarts.

use claude_comms_proto::v1::{ModuleOrigin, RegisterModuleRequest, UpdateModuleRequest};
use claude_comms_tests::{Client, TestServer};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::support::{
    descriptor, module, modules, register, register_request, revision, try_register, with_role,
};
use crate::simulated::support::refused;

const YAML: &str = "# A module as people write it.\nschema: claude-comms/module/v1\nname: words\nversion: 1.0.0\n\
                    title: Words\ndescription: Keeps words.\ntags: [language]\ncapabilities:\n  - name: look_up\n    \
                    description: Says what a word means.\n    read_only: true\n    tags: [meaning]\n    \
                    output: {type: object, properties: {meaning: {type: string}}}\ndata_types:\n  - {name: word, \
                    media_type: text/plain, description: One word., schema: {type: string}}\n";

#[tokio::test]
async fn a_module_is_registered_from_yaml_or_json_and_read_back_whole() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let request = RegisterModuleRequest {
        name: "words".into(),
        descriptor: YAML.into(),
        path: "/somewhere/words".into(),
        force: false,
    };
    let from_yaml = register_request(&client, request).await.unwrap();
    assert_eq!(
        (from_yaml.name.as_str(), from_yaml.version.as_str(), from_yaml.revision, from_yaml.origin()),
        ("words", "1.0.0", 1, ModuleOrigin::Registered)
    );
    assert_eq!((from_yaml.title.as_str(), from_yaml.path.as_str()), ("Words", "/somewhere/words"));
    let capability = &from_yaml.capabilities[0];
    assert!(capability.read_only && capability.name == "look_up" && capability.tags == ["meaning"]);
    let schema: Value = serde_json::from_str(&capability.output_schema_json).unwrap();
    assert_eq!(schema["properties"]["meaning"]["type"], "string");
    assert_eq!(from_yaml.data_types[0].schema_json, r#"{"type":"string"}"#);
    let got = module(&client, "words").await.unwrap();
    assert_eq!(got.revisions.len(), 1);
    assert_eq!(claude_comms_proto::v1::Module { revisions: Vec::new(), ..got.clone() }, from_yaml);

    // What was given back can be registered again, elsewhere too, and is the same.
    let again = register_request(
        &client,
        RegisterModuleRequest {
            descriptor: got.descriptor_json.clone(),
            path: "/somewhere/words".into(),
            ..Default::default()
        },
    )
    .await
    .unwrap();
    assert_eq!(
        (again.revision, &again.digest),
        (1, &got.digest),
        "JSON and YAML of the same content are the same"
    );
    assert_eq!(again.update_time, got.update_time);
}

#[tokio::test]
async fn lists_page_by_name_and_hold_every_module_once() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let built_in: Vec<String> = modules(&client, 0).await.into_iter().map(|module| module.name).collect();
    assert_eq!(built_in, ["arangodb", "claude_mcp", "marker"]);
    let long = "A very long description. ".repeat(300);
    for number in 0..25 {
        let fields = json!({"description": long, "capabilities": [{"name": "a", "description": "A.", "input": {"type": "object"}}]});
        register(&client, &descriptor(&format!("m{number:02}"), "1.0.0", fields)).await;
    }
    for page_size in [1, 7, 28, 0, 1000] {
        let all = modules(&client, page_size).await;
        let names: Vec<&str> = all.iter().map(|module| module.name.as_str()).collect();
        assert!(names.is_sorted() && names.len() == 28, "{page_size}: {names:?}");
        let one = all.iter().find(|module| module.name == "m07").unwrap();
        assert!(one.description.len() <= 4 << 10 && one.truncated_fields == ["description"], "{one:?}");
        assert!(one.descriptor_json.is_empty() && one.capabilities[0].input_schema_json.is_empty());
    }
    for (origin, count) in
        [(ModuleOrigin::Registered, 25), (ModuleOrigin::BuiltIn, 3), (ModuleOrigin::Directory, 0)]
    {
        let request =
            claude_comms_proto::v1::ListModulesRequest { origin: origin.into(), ..Default::default() };
        let page = client.modules.clone().list_modules(request).await.unwrap().into_inner();
        assert_eq!((page.modules.len(), page.next_page_token.as_str()), (count, ""), "{origin:?}");
    }
}

fn numbers(module: &claude_comms_proto::v1::Module) -> (String, u32) {
    (module.version.clone(), module.revision)
}

#[tokio::test]
async fn versions_rise_contents_make_revisions_and_every_old_one_can_be_read() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let first = register(&client, &with_role("one", "1.0.0", "first")).await;
    let same = register(&client, &with_role("one", "1.0.0", "first")).await;
    assert_eq!((numbers(&same), same.update_time), (("1.0.0".into(), 1), first.update_time));
    let second = register(&client, &with_role("one", "1.0.0", "second")).await;
    assert_eq!(numbers(&second), ("1.0.0".into(), 2));
    assert_eq!(second.create_time, first.create_time);
    let third = register(&client, &with_role("one", "1.1.0", "third")).await;
    assert_eq!(numbers(&third), ("1.1.0".into(), 1));
    for lower in ["1.0.0", "1.1.0-rc.1", "0.9.9"] {
        let lower = try_register(&client, &with_role("one", lower, "lower")).await;
        let status = refused(lower, Code::FailedPrecondition, "MODULE_VERSION_LOWER");
        assert!(status.message().contains("1.1.0"), "{status:?}");
    }
    let forced = RegisterModuleRequest {
        descriptor: with_role("one", "0.9.0", "forced").to_string(),
        force: true,
        ..Default::default()
    };
    assert_eq!(numbers(&register_request(&client, forced).await.unwrap()), ("0.9.0".into(), 1));
    // Ten is above nine.
    register(&client, &with_role("one", "0.10.0", "ten")).await;

    let now = module(&client, "one").await.unwrap();
    let kept: Vec<_> = now.revisions.iter().map(|r| (r.version.as_str(), r.revision, r.current)).collect();
    assert_eq!(
        kept,
        [
            ("0.10.0", 1, true),
            ("0.9.0", 1, false),
            ("1.1.0", 1, false),
            ("1.0.0", 2, false),
            ("1.0.0", 1, false)
        ]
    );
    for (version, number, role) in [
        ("1.0.0", 1, "first"),
        ("1.0.0", 2, "second"),
        ("1.0.0", 0, "second"),
        ("1.1.0", 1, "third"),
        ("0.9.0", 0, "forced"),
    ] {
        let old = revision(&client, "one", version, number).await.unwrap();
        assert_eq!(role_of(&old), role);
        assert_eq!(old.version, version);
    }
    for (version, number) in [("1.0.0", 3), ("7.0.0", 0), ("nonsense", 0)] {
        let status = refused(
            revision(&client, "one", version, number).await,
            Code::NotFound,
            "MODULE_VERSION_NOT_FOUND",
        );
        assert!(status.message().contains(version), "{status:?}");
    }
}

fn role_of(module: &claude_comms_proto::v1::Module) -> String {
    let descriptor: Value = serde_json::from_str(&module.descriptor_json).unwrap();
    descriptor["context"]["role"].as_str().unwrap().to_owned()
}

async fn update(
    client: &Client,
    request: UpdateModuleRequest,
) -> Result<claude_comms_proto::v1::Module, Status> {
    client.modules.clone().update_module(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn an_update_needs_a_registered_module_and_the_digest_it_names() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let to = |role: &str| UpdateModuleRequest {
        name: "one".into(),
        descriptor: with_role("one", "1.0.0", role).to_string(),
        ..Default::default()
    };
    refused(update(&client, to("early")).await, Code::NotFound, "MODULE_NOT_REGISTERED");
    let request = RegisterModuleRequest {
        path: "/here".into(),
        descriptor: to("first").descriptor,
        ..Default::default()
    };
    let first = register_request(&client, request).await.unwrap();
    let expecting =
        |role: &str, digest: &str| UpdateModuleRequest { expected_digest: digest.into(), ..to(role) };
    let second = update(&client, expecting("second", &first.digest)).await.unwrap();
    assert_eq!((second.revision, second.path.as_str()), (2, "/here"), "an unset path stays");
    let status =
        refused(update(&client, expecting("third", &first.digest)).await, Code::Aborted, "MODULE_CHANGED");
    assert!(status.message().contains(&second.digest), "{status:?}");
    assert_eq!(role_of(&module(&client, "one").await.unwrap()), "second");
    let moved = UpdateModuleRequest { path: Some(String::new()), ..to("third") };
    assert_eq!(update(&client, moved).await.unwrap().path, "");
    // A built-in one is covered, never updated.
    let marker = UpdateModuleRequest {
        name: "marker".into(),
        descriptor: with_role("marker", "9.0.0", "x").to_string(),
        ..Default::default()
    };
    let status = refused(update(&client, marker).await, Code::NotFound, "MODULE_NOT_REGISTERED");
    assert!(status.message().contains("built in"), "{status:?}");
}

#[tokio::test]
async fn what_was_registered_is_there_after_any_restart() {
    let mut server = TestServer::simulated().start().await;
    let client = server.client().await;
    register(&client, &with_role("one", "1.0.0", "first")).await;
    register(&client, &with_role("one", "1.0.0", "second")).await;
    register(&client, &with_role("two", "1.0.0", "gone")).await;
    super::support::unregister(&client, "two").await.unwrap();
    let before = module(&client, "one").await.unwrap();
    server.kill9().await;
    server.restart().await;
    let client = server.client().await;
    assert_eq!(module(&client, "one").await.unwrap(), before);
    refused(module(&client, "two").await, Code::NotFound, "MODULE_NOT_FOUND");
    let old = revision(&client, "two", "1.0.0", 1).await.map(|old| role_of(&old));
    assert!(server.terminate().await.code == Some(0));
    server.restart().await;
    let client = server.client().await;
    assert_eq!(module(&client, "one").await.unwrap(), before);
    assert_eq!(revision(&client, "two", "1.0.0", 1).await.map(|old| role_of(&old)).ok(), old.ok());
    // Registered again after it was taken out, its revisions go on.
    let again = register(&client, &with_role("two", "1.0.0", "back")).await;
    assert_eq!(again.revision, 2);
}
