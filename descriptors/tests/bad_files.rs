//! Every file in `bad/` is wrong in one way, which its name says; its snapshot is what a user is told. A file without a
//! snapshot fails. Files too large to keep are made here.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use claude_comms_descriptors::{Problem, TemplateFiles, limits, parse, parse_bytes};

const HEAD: &str = "schema: claude-comms/module/v1\nname: m\nversion: 1.0.0\ndescription: A module.\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad")
}

fn told(problems: &[Problem], file: &str) -> String {
    problems.iter().map(|problem| problem.located(file)).collect::<Vec<_>>().join("\n")
}

fn told_of_text(text: &str) -> String {
    told(&parse(text, TemplateFiles::Refused).expect_err("it is bad"), "made.yaml")
}

#[test]
fn every_bad_file_is_told_as_its_snapshot_says() {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder()).expect("the folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            names.insert(entry.file_name().into_string().expect("UTF-8"));
        }
    }
    assert!(names.len() >= 30, "{names:?}");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("bad/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for name in &names {
            let bytes = fs::read(folder().join(name)).expect("the file");
            let problems = parse_bytes(&bytes, TemplateFiles::Below(&folder()))
                .expect_err(&format!("{name} is there because it is bad"));
            insta::assert_snapshot!(name.as_str(), told(&problems, name));
        }
    });
}

#[test]
fn no_snapshot_is_without_its_file() {
    for entry in fs::read_dir(folder().join("snapshots")).expect("the folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let file = name.trim_end_matches(".snap");
        assert!(folder().join(file).is_file(), "{file} is gone; remove its snapshot");
    }
}

#[test]
fn a_text_of_one_mebibyte_is_refused() {
    let text = format!("{HEAD}title: {}\n", "x".repeat(1024 * 1024));
    insta::assert_snapshot!(told_of_text(&text), @"made.yaml: 1048661 bytes of text; a descriptor has at most 524288 (512 KiB): move long material into files");
}

#[test]
fn more_entries_than_allowed_are_told_with_their_number() {
    let mut text = HEAD.to_owned();
    let mut list = |key: &str, number: usize, item: &dyn Fn(usize) -> String| {
        let items: Vec<String> = (0..number).map(item).collect();
        writeln!(text, "{key}: [{}]", items.join(", ")).expect("memory");
    };
    list("tags", limits::TAGS + 1, &|n| format!("t{n}"));
    list("capabilities", limits::CAPABILITIES + 1, &|n| format!("{{name: c{n}, description: d}}"));
    list("data_types", limits::DATA_TYPES + 1, &|n| format!("{{name: t{n}}}"));
    list("relationships", limits::RELATIONSHIPS + 1, &|n| format!("{{module: m{n}, kind: peer}}"));
    let glossary: Vec<String> = (0..=limits::GLOSSARY).map(|n| format!("w{n}: x")).collect();
    let templates: Vec<String> = (0..=limits::TEMPLATES).map(|n| format!("t{n}: {{inline: x}}")).collect();
    writeln!(
        text,
        "context: {{glossary: {{{}}}, templates: {{{}}}}}",
        glossary.join(", "),
        templates.join(", ")
    )
    .expect("memory");
    insta::assert_snapshot!(told_of_text(&text), @r"
    made.yaml:5:7: tags: 65 tags; at most 64: leave some out, or make two modules
    made.yaml:6:15: capabilities: 513 capabilities; at most 512: leave some out, or make two modules
    made.yaml:7:13: data_types: 513 data types; at most 512: leave some out, or make two modules
    made.yaml:8:16: relationships: 257 relationships; at most 256: leave some out, or make two modules
    made.yaml:9:21: context.glossary: 1001 words in the glossary; at most 1000: leave some out, or make two modules
    made.yaml:9:8934: context.templates: 33 templates; at most 32: leave some out
    ");
}

#[test]
fn a_template_larger_than_allowed_is_refused() {
    let text = format!(
        "{HEAD}context: {{templates: {{query: {{inline: {}}}}}}}\n",
        "x".repeat(limits::TEMPLATE_BYTES + 1)
    );
    let told = told_of_text(&text);
    assert!(told.contains("context.templates.query.inline: "), "{told}");
    assert!(told.contains("65536"), "{told}");
}

#[test]
fn every_text_of_a_descriptor_has_a_limit() {
    let long = |bytes: usize| "x".repeat(bytes);
    let version = |bytes: usize| HEAD.replace("1.0.0", &format!("1.0.0-{}", long(bytes - 6)));
    assert!(parse(&version(limits::VERSION_BYTES), TemplateFiles::Refused).is_ok());
    let told = told_of_text(&version(limits::VERSION_BYTES + 1));
    assert_eq!(told, "made.yaml:3:10: version: 129 bytes; at most 128: make it shorter");
    let texts = [
        ("title: X", 256),
        ("description: X", 8192),
        ("tags: [X]", 63),
        ("capabilities: [{name: X, description: d}]", 63),
        ("capabilities: [{name: c, description: X}]", 8192),
        ("capabilities: [{name: c, description: d, tags: [X]}]", 63),
        ("capabilities: [{name: c, description: d, examples: [{description: X}]}]", 8192),
        ("data_types: [{name: X}]", 63),
        ("data_types: [{name: t, media_type: X}]", 256),
        ("data_types: [{name: t, description: X}]", 8192),
        ("relationships: [{module: X, kind: peer}]", 63),
        ("relationships: [{module: o, kind: peer, description: X}]", 8192),
        ("context: {role: X}", 32_768),
        ("context: {instructions: X}", 32_768),
        ("context: {constraints: [X]}", 8192),
        ("context: {glossary: {X: meaning}}", 256),
        ("context: {glossary: {word: X}}", 8192),
        ("context: {extends: X}", 63),
        ("context: {templates: {X: {inline: t}}}", 63),
        ("context: {templates: {query: {inline: X}}}", 65_536),
        ("files: {read: [X]}", 256),
        ("limits: {model: X}", 256),
    ];
    for (line, bytes) in texts {
        let head = if line.starts_with("description") {
            HEAD.replace("description: A module.\n", "")
        } else {
            HEAD.to_owned()
        };
        let text = |bytes: usize| {
            // YAML takes no longer keys than this unless they are written so.
            let line = line.replace("{X:", "{? X :").replace('X', &long(bytes));
            format!("{head}{line}\n")
        };
        let most = parse(&text(bytes), TemplateFiles::Refused);
        assert!(most.is_ok(), "{line}: {:?}", most.err());
        assert!(parse(&text(bytes + 1), TemplateFiles::Refused).is_err(), "{line}");
    }
    let told = told_of_text(&format!("{HEAD}limits: {{timeout: {}}}\n", "1s ".repeat(22)));
    assert_eq!(told, "made.yaml:5:19: limits.timeout: 65 bytes; at most 64: make it shorter");
}
