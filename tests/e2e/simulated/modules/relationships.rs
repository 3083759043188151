//! Relationships: one side declares, both sides see it, and what does not go together is a warning.

use claude_comms_proto::v1::{Module, ModuleRelationship, RelationshipKind};
use claude_comms_tests::TestServer;
use serde_json::{Value, json};

use super::support::{descriptor, module, query, question, register, unregister};

fn related(name: &str, relationships: Value) -> Value {
    descriptor(name, "1.0.0", json!({"relationships": relationships}))
}

fn to<'a>(module: &'a Module, other: &str) -> Vec<&'a ModuleRelationship> {
    module.relationships.iter().filter(|relationship| relationship.module == other).collect()
}

#[tokio::test]
async fn what_one_side_declares_the_other_side_sees_reversed() {
    use RelationshipKind::{Consumes, DependsOn, Peer, Produces, RequiredBy};
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    for (number, (declared, kind, reversed)) in [
        ("consumes", Consumes, Produces),
        ("produces", Produces, Consumes),
        ("depends_on", DependsOn, RequiredBy),
        ("peer", Peer, Peer),
    ]
    .into_iter()
    .enumerate()
    {
        let (one, other) = (format!("one{number}"), format!("other{number}"));
        let says = json!([{"module": other, "kind": declared, "description": "As I see it."}]);
        let alone = register(&client, &related(&one, says)).await;
        let [seen] = to(&alone, &other)[..] else { panic!("{alone:?}") };
        assert!(!seen.known && seen.declared_here && !seen.declared_there, "{seen:?}");
        assert!(
            alone.warnings.iter().any(|warning| warning.contains(&other)),
            "an unknown one is a warning: {alone:?}"
        );

        let there = register(&client, &related(&other, json!([]))).await;
        let [seen] = to(&there, &one)[..] else { panic!("{there:?}") };
        assert_eq!(
            (seen.kind(), seen.known, seen.declared_here, seen.declared_there),
            (reversed, true, false, true)
        );
        assert_eq!((seen.description.as_str(), seen.other_description.as_str()), ("", "As I see it."));
        let here = module(&client, &one).await.unwrap();
        let [seen] = to(&here, &other)[..] else { panic!("{here:?}") };
        assert_eq!((seen.kind(), seen.known, seen.description.as_str()), (kind, true, "As I see it."));
        let one_sided = format!("{other} does not declare its side");
        let about = here.warnings.iter().filter(|warning| warning.contains(&other));
        assert!(about.into_iter().all(|warning| warning.starts_with(&one_sided)), "known by now: {here:?}");
    }
}

#[tokio::test]
async fn both_sides_words_reach_the_prompt_and_contradictions_are_warnings() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    register(
        &client,
        &related("maker", json!([{"module": "taker", "kind": "produces", "description": "I make for it."}])),
    )
    .await;
    register(
        &client,
        &related("taker", json!([{"module": "maker", "kind": "consumes", "description": "I take from it."}])),
    )
    .await;
    let taker = module(&client, "taker").await.unwrap();
    let [seen] = to(&taker, "maker")[..] else { panic!("{taker:?}") };
    assert!(seen.declared_here && seen.declared_there, "{seen:?}");
    assert_eq!(
        (seen.description.as_str(), seen.other_description.as_str()),
        ("I take from it.", "I make for it.")
    );
    let heard = query(&client, question("taker", "maker", "What do you make?")).await;
    let system_prompt =
        super::support::conversation(&client, &heard.turn().conversation_id).await.system_prompt;
    assert!(
        system_prompt.contains("I take from it.") && system_prompt.contains("I make for it."),
        "{system_prompt}"
    );

    let contradicting = related("taker", json!([{"module": "maker", "kind": "produces"}]));
    let taker = register(&client, &contradicting).await;
    assert!(
        taker.warnings.iter().any(|warning| warning.contains("maker")),
        "both produce for each other: {:?} {:?}",
        taker.warnings,
        taker.relationships
    );
    unregister(&client, "maker").await.unwrap();
    let taker = module(&client, "taker").await.unwrap();
    assert!(to(&taker, "maker").iter().all(|seen| !seen.known && !seen.declared_there), "{taker:?}");
}

#[tokio::test]
async fn built_in_modules_are_related_to_each_other() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let marker = module(&client, "marker").await.unwrap();
    assert!(
        to(&marker, "arangodb").iter().any(|seen| seen.known && seen.kind() == RelationshipKind::Produces),
        "{:?}",
        marker.relationships
    );
    assert!(marker.warnings.is_empty(), "{:?}", marker.warnings);
}
