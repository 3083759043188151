//! How modules and contexts look.

use super::*;

fn module() -> v1::Module {
    let time = Some(prost_types::Timestamp { seconds: 1_795_348_800, nanos: 0 });
    v1::Module {
        name: "arangodb".into(),
        version: "1.2.0".into(),
        revision: 2,
        origin: v1::ModuleOrigin::Registered.into(),
        title: "ArangoDB".into(),
        description: "Multi-model database: documents, graphs, search.\nKeeps what others extract.\n".into(),
        tags: vec!["database".into(), "graph".into()],
        capabilities: vec![
            v1::Capability {
                name: "run_aql".into(),
                description: "Runs one AQL query and returns its rows.".into(),
                tags: vec!["query".into()],
                read_only: true,
                input_schema_json: r#"{"type":"object","properties":{"query":{"type":"string"},
                    "bind":{"type":"object"}},"required":["query"]}"#
                    .into(),
                output_schema_json: r#"{"type":"object","properties":{"rows":{"type":"array"}}}"#.into(),
            },
            v1::Capability {
                name: "drop_collection".into(),
                description: "Drops it.".into(),
                ..Default::default()
            },
        ],
        data_types: vec![v1::DataType {
            name: "document".into(),
            media_type: "application/json".into(),
            description: "One document.".into(),
            schema_json: r#"{"type":"object"}"#.into(),
        }],
        relationships: vec![
            relationship_to("marker", v1::RelationshipKind::Consumes, (true, true), true),
            relationship_to("mcp", v1::RelationshipKind::RequiredBy, (false, true), true),
            relationship_to("ghost", v1::RelationshipKind::Peer, (true, false), false),
        ],
        path: "/srv/arangodb".into(),
        digest: "0123456789abcdef".repeat(4),
        warnings: vec!["context.glossary: `edge` is explained nowhere else".into()],
        create_time: time,
        update_time: time,
        revisions: vec![
            revision_of("1.2.0", 2, true),
            revision_of("1.2.0", 1, false),
            revision_of("1.1.0", 1, false),
        ],
        ..Default::default()
    }
}

fn relationship_to(
    module: &str,
    kind: v1::RelationshipKind,
    (declared_here, declared_there): (bool, bool),
    known: bool,
) -> v1::ModuleRelationship {
    v1::ModuleRelationship {
        module: module.into(),
        kind: kind.into(),
        description: if declared_here { "Stores what comes.".into() } else { String::new() },
        other_description: if declared_there { "Gives its pages.".into() } else { String::new() },
        declared_here,
        declared_there,
        known,
    }
}

fn revision_of(version: &str, revision: u32, current: bool) -> v1::ModuleRevision {
    v1::ModuleRevision {
        version: version.into(),
        revision,
        digest: "0123456789abcdef".into(),
        create_time: Some(prost_types::Timestamp { seconds: 1_795_348_800, nanos: 0 }),
        current,
    }
}

#[test]
fn a_module_shows_what_it_can_do_and_how_it_stands_to_others() {
    insta::assert_snapshot!(module().details().render(Paint::Plain));
}

#[test]
fn tables_of_modules_fit_eighty_columns() {
    let listed = v1::Module { update_time: None, ..module() };
    let built_in = v1::Module {
        name: "claude-code-mcp".into(),
        origin: v1::ModuleOrigin::BuiltIn.into(),
        title: "Claude Code over MCP".into(),
        capabilities: Vec::new(),
        revision: 1,
        ..listed.clone()
    };
    let found = v1::DiscoveredModule {
        module: Some(listed.clone()),
        score: 3.25,
        matched: vec!["capability run_aql".into(), "tag graph".into()],
    };
    let list = modules(&[listed, built_in]);
    let found = discovered(&[found]);
    let mut shown = String::new();
    for width in [Some(80), Some(50), None] {
        for table in [&list, &found] {
            let text = table.render(Paint::Plain, width);
            for line in text.lines() {
                assert!(width.is_none_or(|width| line.chars().count() <= usize::from(width)), "{line}");
            }
            shown.extend([format!("{width:?}\n"), text]);
        }
    }
    insta::assert_snapshot!(shown);
}

fn left_out(what: &str, estimated_tokens: u32) -> v1::OmittedContext {
    let (section, why) = ("capabilities".to_owned(), "token budget".to_owned());
    v1::OmittedContext { section, what: what.to_owned(), why, estimated_tokens }
}

#[test]
fn a_preview_shows_both_texts_and_what_they_cost() {
    let section = |name: &str, place: v1::SectionPlace, estimated_tokens| v1::ContextSection {
        name: name.into(),
        place: place.into(),
        estimated_tokens,
        bytes: estimated_tokens * 4,
    };
    let shown = v1::ContextPreview {
        system_prompt: "<target>\nYou know ArangoDB.\x1b[2J\n</target>\n".into(),
        message: "<question>\nHow?\n</question>".into(),
        sections: vec![
            section("target", v1::SectionPlace::SystemPrompt, 812),
            section("question", v1::SectionPlace::Message, 5),
        ],
        omitted: vec![
            left_out("example of capability run_aql", 100),
            left_out("descriptions in the schemas of capability run_aql", 20),
            left_out("example of capability explain_aql", 50),
            left_out("capability import_documents", 300),
        ],
        estimated_tokens: 817,
        token_budget: 1000,
        template: "query@1.0.0".into(),
        source_version: "1.0.0".into(),
        target_version: "1.2.0#2".into(),
        truncated_fields: Vec::new(),
    };
    insta::assert_snapshot!(preview(&shown, Paint::Plain, Some(80)));
    let empty = preview(&v1::ContextPreview::default(), Paint::Plain, Some(80));
    assert!(empty.contains("(none)") && !empty.contains("left out"), "{empty}");
}

#[test]
fn sides_are_named_with_their_versions() {
    assert_eq!(between(("marker", "1.0.0"), ("arangodb", "2.0.0#3")), "marker 1.0.0 → arangodb 2.0.0#3");
    assert_eq!(between(("", ""), ("arangodb", "")), "→ arangodb");
    assert_eq!(between(("", ""), ("", "")), "");
}
