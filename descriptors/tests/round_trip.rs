//! What is written is read back as it was, whatever its texts look like.

use std::collections::BTreeMap;

use claude_comms_descriptors::{
    Capability, ContextSpec, Descriptor, Example, Files, Limits, Relationship, RelationshipKind, SCHEMA,
    TemplateFiles, TemplateText, canonical_json, digest, parse, to_json, to_yaml,
};
use proptest::{collection, option, prelude::*};
use serde_json::{Value, json};

/// Texts that YAML would take for something else, and any others.
fn nasty() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "a: b",
        ": ",
        "# no comment",
        "a #b",
        "no",
        "yes",
        "on",
        "True",
        "null",
        "~",
        "1e3",
        "0x10",
        "010",
        "1_000",
        ".nan",
        "-.inf",
        "12:30:00",
        "2024-01-01",
        "<<",
        "*a",
        "&a",
        "!tag",
        "|",
        ">",
        "- a",
        "? a",
        "%YAML",
        "---",
        "...",
        " leading",
        "trailing ",
        "tab\tinside",
        "line\nbreak",
        "line\n",
        "\nline",
        "a\n\n\nb\n\n",
        "  a\n b\n",
        "'",
        "\"",
        "\\",
        "\\n",
        "{a: b}",
        "[a]",
        "{{ prompt }}",
        "`",
        "@",
        "é",
        "😀",
        "\u{2028}x",
        "\u{85}x",
        "\u{a0}",
        "\u{feff}x",
        "a\u{7f}",
        "=",
        "-",
        ",",
        "a,b]}",
        "x ",
        "\t",
        "a\r\nb",
    ])
    .prop_map(str::to_owned);
    let long = "[a-z ]{90,200}";
    prop_oneof![4 => known, 1 => any::<String>(), 1 => long, 1 => "[ -~\n]{0,40}"]
}

/// Such a text without what a descriptor's own fields refuse.
fn prose() -> impl Strategy<Value = String> {
    nasty().prop_map(|text| {
        let kept: String =
            text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')).collect();
        if kept.trim().is_empty() { format!("x{kept}") } else { kept }
    })
}

fn line() -> impl Strategy<Value = String> {
    prose().prop_map(|text| {
        let kept: String = text.chars().filter(|c| !c.is_control()).take(15).collect();
        if kept.trim().is_empty() { "x".to_owned() } else { kept }
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![u64::MAX, u64::MAX - 1, 1 << 53]).prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(Value::from),
        prop::sample::select(vec![0.0, 1.0, -0.5, 1e300, 1e-7]).prop_map(Value::from),
        nasty().prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null])),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::btree_map(nasty(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

prop_compose! {
    fn capability()(
        description in prose(),
        tags in collection::vec(line(), 0..3),
        read_only in any::<bool>(),
        names in collection::btree_set(nasty(), 0..3),
        example in value(),
        about in prose(),
    ) -> Capability {
        let required: Vec<String> = names.into_iter().collect();
        Capability {
            name: "c".into(),
            description,
            tags,
            read_only,
            input: Some(json!({ "title": about, "enum": [example, required] })),
            output: None,
            examples: vec![Example { description: about, input: Some(example), output: None }],
        }
    }
}

prop_compose! {
    fn descriptor()(
        title in line(),
        description in prose(),
        tags in collection::vec(line(), 0..3),
        capability in option::of(capability()),
        related in prose(),
        role in prose(),
        constraints in collection::vec(prose(), 0..3),
        glossary in collection::btree_map(line(), prose(), 0..3),
        budget_usd in option::of(0.001..1e9_f64),
        max_turns in option::of(1..u32::MAX),
    ) -> Descriptor {
        Descriptor {
            schema: SCHEMA.into(),
            name: "no".into(),
            version: "1.0.0-rc.1+e3".into(),
            title,
            description,
            tags,
            capabilities: capability.into_iter().collect(),
            data_types: Vec::new(),
            relationships: vec![Relationship { module: "on".into(), kind: RelationshipKind::DependsOn, description: related }],
            context: ContextSpec {
                role,
                constraints,
                glossary,
                templates: BTreeMap::from([("query".into(), TemplateText::Inline { inline: "{{ prompt }}\n\n".into() })]),
                ..ContextSpec::default()
            },
            files: Files::default(),
            limits: Limits { budget_usd, max_turns, ..Limits::default() },
        }
    }
}

fn read(text: &str) -> Result<Descriptor, TestCaseError> {
    parse(text, TemplateFiles::Refused)
        .map(|parsed| parsed.descriptor)
        .map_err(|problems| TestCaseError::fail(format!("{problems:#?}\n{text}")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_descriptor_survives_yaml_and_json_and_both_in_turn(descriptor in descriptor()) {
        let yaml = to_yaml(&descriptor);
        let from_yaml = read(&yaml)?;
        prop_assert_eq!(&from_yaml, &descriptor, "{}", yaml);
        let from_json = read(&to_json(&from_yaml))?;
        prop_assert_eq!(&from_json, &descriptor);
        let again = read(&to_yaml(&from_json))?;
        prop_assert_eq!(&read(&canonical_json(&again))?, &descriptor);
        prop_assert_eq!(digest(&again), digest(&descriptor));
    }
}
