//! Modules as large as they may be: every answer fits every client.

use claude_comms_proto::v1::RegisterModuleRequest;
use claude_comms_tests::{TestServer, client::reason};
use serde_json::{Value, json};

use super::support::{descriptor, module, modules, question, register_request, try_query};
use crate::simulated::support::completed;

/// Under the limit of a descriptor's text.
const BYTES: usize = 500 << 10;

/// A list of numbers so deep that every one of them would stand far to the right.
fn deep(count: usize) -> String {
    let mut value = json!(vec![1; count]);
    for _ in 0..50 {
        value = json!([value]);
    }
    let fields =
        json!({"capabilities": [{"name": "deep", "description": "D.", "input": {"examples": [value]}}]});
    descriptor("deep", "1.0.0", fields).to_string()
}

/// A schema that is written once and meant often.
fn aliased(times: usize) -> String {
    let mut text = String::from(
        "schema: claude-comms/module/v1\nname: aliased\nversion: 1.0.0\ndescription: D.\ncapabilities:\n",
    );
    for number in 0..times {
        let input = if number == 0 {
            format!("&big {{description: {}}}", "x".repeat(16 << 10))
        } else {
            "*big".to_owned()
        };
        text.push_str("  - {name: c");
        text.push_str(&number.to_string());
        text.push_str(", description: D., input: ");
        text.push_str(&input);
        text.push_str("}\n");
    }
    text
}

#[tokio::test]
async fn the_largest_descriptors_can_be_registered_shown_listed_and_asked() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let input = json!({"description": "x".repeat(BYTES)});
    let capability = json!({"name": "wide", "description": "W.", "input": input});
    let wide = descriptor("wide", "1.0.0", json!({"capabilities": [capability]})).to_string();
    for (name, text) in [("wide", wide), ("deep", deep(90_000)), ("aliased", aliased(30))] {
        assert!(text.len() <= 512 << 10, "{name} has {}", text.len());
        let request = RegisterModuleRequest { descriptor: text, ..Default::default() };
        register_request(&client, request).await.expect("it is not too large");
        let shown = module(&client, name).await.expect("what is registered can be shown");
        let whole: Value = serde_json::from_str(&shown.descriptor_json).expect("and is whole");
        assert_eq!(whole["name"], name);
        assert!(modules(&client, 0).await.iter().any(|module| module.name == name));
        match try_query(&client, question("", name, "x")).await {
            Ok(mut heard) => {
                completed(heard.to_end().await);
            }
            Err(status) => assert_eq!(reason(&status), "TOKEN_BUDGET_TOO_SMALL", "{status:?}"),
        }
    }
    let request = RegisterModuleRequest { descriptor: aliased(100), ..Default::default() };
    let status = register_request(&client, request).await.expect_err("it comes to too much");
    assert!(
        reason(&status) == "INVALID_ARGUMENT" && status.message().contains("fewer aliases"),
        "{status:?}"
    );
}
