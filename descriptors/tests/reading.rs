//! What the checks promise of descriptors that are right, and of texts that are none.

use std::{
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use claude_comms_descriptors::{
    DataSchema, Descriptor, Parsed, Problem, RelationshipKind, TemplateFiles, TemplateText, canonical_json,
    digest, limits, parse, parse_bytes, to_json, to_yaml,
};
use serde_json::{Value, json};

const FULL: &str = r##"
schema: claude-comms/module/v1
name: arangodb
version: 1.0.0
title: ArangoDB
description: "Multi-model database: documents, graphs, search."
tags: [database, graph]
capabilities:
  - name: run_aql
    description: |
      Runs one AQL query
      and returns its rows.
    tags: [query]
    read_only: true
    input:
      type: object
      properties: {query: {type: string, pattern: "^FOR"}, row: {$ref: "#/$defs/row"}}
      required: [query]
      $defs: {row: {type: object}}
    output: {type: object, properties: {rows: {type: array}}}
    examples:
      - description: All users
        input: {query: FOR u IN users RETURN u}
        output: {rows: []}
data_types: [{name: Document.v1, media_type: application/json, description: A document., schema: {type: object}}]
relationships: [{module: marker, kind: consumes, description: Stores what Marker extracts.}]
context:
  role: You know ArangoDB.
  instructions: Answer in AQL.
  constraints: [Never drop collections.]
  glossary: {edge: A document that joins two others.}
  extends: marker
  templates: {query: {inline: "{{ prompt }}"}}
files: {read: [README.md, "docs/**"]}
limits: {model: "claude-sonnet-4-5[1m]", max_turns: 8, budget_usd: 0.5, timeout: 2m 30s}
"##;

fn minimal(more: &str) -> String {
    format!("schema: claude-comms/module/v1\nname: m\nversion: 1.0.0\ndescription: A module.\n{more}")
}

fn good(text: &str) -> Descriptor {
    parsed(text).descriptor
}

fn parsed(text: &str) -> Parsed {
    parse(text, TemplateFiles::Refused).unwrap_or_else(|problems| panic!("{}", messages(&problems)))
}

fn bad(text: &str) -> Vec<Problem> {
    parse(text, TemplateFiles::Refused).expect_err("the text is bad")
}

fn messages(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.located("m.yaml") + "\n").collect()
}

#[test]
fn every_key_of_the_format_is_read() {
    let Parsed { descriptor, warnings, template_files } = parsed(FULL);
    assert_eq!(warnings, []);
    assert!(template_files.is_empty());
    assert_eq!(descriptor.shown_name(), "ArangoDB");
    let capability = descriptor.capability("run_aql").expect("it is there");
    assert!(capability.read_only);
    assert_eq!(capability.description, "Runs one AQL query\nand returns its rows.\n");
    assert_eq!(capability.examples.len(), 1);
    assert_eq!(descriptor.data_types[0].media_type, "application/json");
    assert_eq!(descriptor.relationships[0].kind, RelationshipKind::Consumes);
    assert_eq!(descriptor.context.extends.as_deref(), Some("marker"));
    assert_eq!(descriptor.context.templates["query"], TemplateText::Inline { inline: "{{ prompt }}".into() });
    assert_eq!(descriptor.files.read, ["README.md", "docs/**"]);
    assert_eq!(descriptor.limits.max_turns, Some(8));
    assert_eq!(descriptor.limits.budget_usd, Some(0.5));
}

#[test]
fn yaml_and_json_of_one_content_are_equal_and_have_one_digest() {
    let descriptor = good(FULL);
    let from_yaml = good(&to_yaml(&descriptor));
    let from_json = good(&to_json(&descriptor));
    let from_canonical = good(&canonical_json(&descriptor));
    assert_eq!(from_yaml, descriptor);
    assert_eq!(from_json, descriptor);
    assert_eq!(from_canonical, descriptor);
    assert_eq!(digest(&from_yaml), digest(&from_json));
    assert_eq!(digest(&descriptor).len(), 64);
    let mut other = descriptor.clone();
    other.version = "1.0.1".into();
    assert_ne!(digest(&other), digest(&descriptor));
}

#[test]
fn json_with_tabs_and_escapes_is_read_as_json_says() {
    let text = "{\n\t\"schema\": \"claude-comms/module/v1\",\n\t\"name\":\"m\", \"version\":\"1.0.0\",\n\
                \t\"description\": \"\\ud83d\\ude00 \\/ \\u00e9\\n\",\n\t\"capabilities\": [\n\t\t{\"name\":\"c\",\"description\":\"d\",\"output\":true}\n\t]\n}\n";
    let descriptor = good(text);
    assert_eq!(descriptor.description, "😀 / é\n");
    assert_eq!(descriptor.capabilities.len(), 1);
}

#[test]
fn a_byte_order_mark_is_no_content() {
    assert_eq!(good(&format!("\u{feff}{}", minimal(""))).name, "m");
    let json = "\u{feff}{\"schema\":\"claude-comms/module/v1\",\"name\":\"m\",\"version\":\"1.0.0\",\"description\":\"d\"}";
    assert_eq!(good(json).name, "m");
}

#[test]
fn aliases_are_read_as_what_they_stand_for() {
    let descriptor = good(&minimal(
        "capabilities:\n- {name: a, description: &d Does., output: &o {type: object}}\n- {name: b, description: *d, output: *o}\n",
    ));
    assert_eq!(descriptor.capabilities[0].output, descriptor.capabilities[1].output);
    assert_eq!(descriptor.capabilities[1].description, "Does.");
}

#[test]
fn words_of_yaml_1_1_are_texts() {
    let descriptor = good(&minimal("tags: [no, on, 'off', y, 010, 1_000, 12:30:00]\n"));
    assert_eq!(descriptor.tags, ["no", "on", "off", "y", "010", "1_000", "12:30:00"]);
}

#[test]
fn numbers_up_to_64_bits_are_kept_exactly() {
    let descriptor = good(&minimal(
        "capabilities: [{name: c, description: d, examples: [{input: [18446744073709551615, -9223372036854775808, 0.1, 1e3]}]}]\n",
    ));
    let input = descriptor.capabilities[0].examples[0].input.as_ref().expect("it is there");
    assert_eq!(input.to_string(), "[18446744073709551615,-9223372036854775808,0.1,1000.0]");
}

#[test]
fn a_yaml_bomb_ends_at_once_with_a_clear_error() {
    let mut bomb = minimal("capabilities:\n- &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(",");
        writeln!(bomb, "- &a{level} [{inner}]").expect("memory");
    }
    let begun = Instant::now();
    let problems = bad(&bomb);
    // Generous for a debug build on a busy machine; without the budget it would be hours.
    assert!(begun.elapsed() < Duration::from_secs(3), "took {:?}", begun.elapsed());
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.contains("use fewer aliases"), "{}", problems[0].message);
}

#[test]
fn nesting_is_bounded_in_yaml_and_json() {
    let json = format!("{{\"schema\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let flow = format!("schema: {}", "[".repeat(100_000));
    let block: String = (0..200).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    for text in [json, flow, block] {
        let problems = bad(&text);
        assert!(problems[0].message.contains("nested deeper than 64 levels"), "{}", problems[0].message);
    }
}

#[test]
fn a_text_of_more_than_512_kib_is_refused_unread() {
    let text = minimal(&format!("# {}\n", "x".repeat(1024 * 1024)));
    let problems = bad(&text);
    assert!(problems[0].message.contains("at most 524288"), "{}", problems[0].message);
    good(&minimal(&format!("# {}\n", "x".repeat(limits::TEXT_BYTES - 200))));
}

#[test]
fn bytes_that_are_not_utf_8_are_named_by_their_line() {
    let problems = parse_bytes(b"schema: x\nname: \xff\n", TemplateFiles::Refused).expect_err("not UTF-8");
    assert_eq!(messages(&problems), "m.yaml:2: not UTF-8 here; save the file as UTF-8\n");
    let nul = bad("name: a\0b\n");
    assert_eq!(nul.len(), 1);
    assert!(nul[0].line == Some(1), "{nul:?}");
}

#[test]
fn template_files_are_inlined_from_their_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("prompts")).expect("a folder");
    fs::write(folder.path().join("prompts/query.j2"), "---\nversion: 1.2.0\n---\n{{ prompt }}")
        .expect("a file");
    let text = minimal("context: {templates: {query: prompts/query.j2}}\n");
    let read = parse(&text, TemplateFiles::Below(folder.path())).expect("it is right");
    let inline = TemplateText::Inline { inline: "---\nversion: 1.2.0\n---\n{{ prompt }}".into() };
    assert_eq!(read.descriptor.context.templates["query"], inline);
    assert_eq!(read.template_files.len(), 1);
    assert!(messages(&bad(&text)).contains("send the text as {inline: ...}"));
}

#[test]
fn template_files_outside_the_folder_are_not_opened() {
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join("module");
    fs::create_dir(&folder).expect("a folder");
    fs::write(outer.path().join("secret"), "secret").expect("a file");
    std::os::unix::fs::symlink("../secret", folder.join("link")).expect("a link");
    let absolute = outer.path().join("secret");
    let absolute = absolute.to_str().expect("UTF-8");
    for (file, why) in [
        ("../secret", "leaves the descriptor's folder"),
        ("a/../../secret", "leaves the descriptor's folder"),
        (absolute, "absolute or leaves"),
        ("link", "a link out of the descriptor's folder"),
        (".", "not a file"),
        ("nowhere.j2", "is its name right?"),
    ] {
        let text = minimal(&format!("context: {{templates: {{query: {file:?}}}}}\n"));
        let problems = parse(&text, TemplateFiles::Below(&folder)).expect_err("refused");
        assert_eq!(problems.len(), 1, "{}", messages(&problems));
        assert!(problems[0].message.contains(why), "{}", problems[0].message);
        assert!(!problems[0].message.contains("{{"), "the file's text is not shown");
    }
}

#[test]
fn a_module_that_can_do_nothing_is_warned_of() {
    let warnings = parsed(&minimal("")).warnings;
    assert!(messages(&warnings).contains("capabilities: none"), "{}", messages(&warnings));
    let warnings = parsed(&minimal("capabilities: [{name: c, description: d}]\n")).warnings;
    assert!(messages(&warnings).contains("capabilities[0]: no output schema"), "{}", messages(&warnings));
}
#[test]
fn what_is_as_deep_as_allowed_is_read_and_checked_in_a_small_stack() {
    // 64 levels: the descriptor, capabilities, the capability, its input, and properties of properties.
    let levels = 28;
    let schema = format!("{}{{type: string}}{}", "{properties: {a: ".repeat(levels), "}}".repeat(levels));
    let value = format!("{}{}", "{a: ".repeat(levels), "x".to_owned() + &"}".repeat(levels));
    let text = minimal(&format!(
        "capabilities: [{{name: c, description: d, input: {schema}, output: true, examples: [{{input: {value}}}]}}]\n"
    ));
    good(&text);
    let problems = bad(&text.replace("a: x}", "a: 1}"));
    assert!(problems[0].message.contains("must be text, not 1"), "{}", messages(&problems));
}

#[test]
fn data_as_deep_as_json_may_be_is_checked_by_a_schema_of_itself() {
    let schema = DataSchema::compile(&json!({
        "properties": {"a": {"$ref": "#"}, "n": {"type": "integer"}},
        "additionalProperties": false,
    }))
    .expect("a schema");
    let text = format!("{}{{\"n\": \"x\"}}{}", "{\"a\":".repeat(120), "}".repeat(120));
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert!(!schema.fits(&value));
    let findings = schema.findings(&value);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].message, "must be a whole number, not \"x\"");
    assert_eq!(findings[0].path(), format!("{}n", "a.".repeat(120)));
}

#[test]
fn an_example_that_takes_too_much_work_to_check_is_refused_at_once() {
    let part = "{properties: {a: {$ref: '#/$defs/n'}}}";
    let schema = format!("{{$defs: {{n: {{allOf: [{part}, {part}]}}}}, $ref: '#/$defs/n'}}");
    let value = format!("{}1{}", "{a: ".repeat(40), "}".repeat(40));
    let text = minimal(&format!(
        "capabilities: [{{name: c, description: d, output: {schema}, examples: [{{output: {value}}}]}}]\n"
    ));
    let problems = bad(&text);
    assert_eq!(problems.len(), 1, "{}", messages(&problems));
    assert_eq!(problems[0].path, "capabilities[0].examples[0].output");
    assert!(
        problems[0].message.contains("cannot be checked (checking takes too much work"),
        "{}",
        messages(&problems)
    );
}

#[test]
fn one_long_line_is_read_as_many_lines_are() {
    // Characters of several bytes, so that columns are no places in bytes.
    let capability =
        |n: usize| format!(r#"{{"name": "c{n}", "description": "größer {n}", "read_only": true}}"#);
    let capabilities = |wrong: &str| {
        let all: Vec<String> = (0..500).map(|n| capability(n).replace("\"größer 321\"", wrong)).collect();
        all.join(", ")
    };
    let head = r#"{"schema": "claude-comms/module/v1", "name": "m", "version": "1.0.0", "description": "d", "capabilities": ["#;
    let text = format!("{head}{}]}}", capabilities("\"größer 321\""));
    let tall = text.replace(", ", ",\n ");
    assert_eq!(good(&text), good(&tall));
    let text = format!("{head}{}]}}", capabilities("3.210"));
    let problems = bad(&text);
    assert_eq!(problems.len(), 1, "{}", messages(&problems));
    let column = text.split("3.210").next().map(|before| before.chars().count() + 1);
    assert_eq!(problems[0].column.map(|column| column as usize), column);
    assert!(problems[0].message.starts_with("3.210 is a number here"), "{}", problems[0].message);
}
