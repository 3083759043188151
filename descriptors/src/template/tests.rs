//! What a template file may say, and what is told of one that may not.

use serde_json::json;

use super::{PromptRule, TemplateFile, TemplateProblem};

fn problem(text: &str) -> TemplateProblem {
    TemplateFile::parse(text).expect_err("a problem")
}

#[test]
fn a_file_without_front_matter_is_all_body() {
    let file = TemplateFile::parse("Hello {{ prompt }}").unwrap();
    assert_eq!(file.version, "1.0.0");
    assert_eq!((file.prompt, file.body_line), (None, 1));
    assert_eq!(file.body, "Hello {{ prompt }}");
    assert!(file.parameters.is_empty());
}

#[test]
fn front_matter_gives_version_rule_and_parameters() {
    let file = TemplateFile::parse(
        "---\r\nversion: 2.1.0\r\ndescription: Explains a query\r\nprompt: optional\r\nparameters:\r\n  rows: {type: \
         integer, default: 10, description: Most rows}\r\n  table: {type: string}\r\n  note: {type: string, required: \
         false}\r\n  point: {type: object, required: [x]}\r\n---\r\nbody\r\n",
    )
    .unwrap();
    assert_eq!(file.version, "2.1.0");
    assert_eq!(file.description, "Explains a query");
    assert_eq!(file.prompt, Some(PromptRule::Optional));
    assert_eq!(file.body, "body\n");
    assert_eq!(file.body_line, 11);
    let rows = &file.parameters["rows"];
    assert_eq!(
        (rows.default.clone(), rows.required, rows.description.as_str()),
        (Some(json!(10)), false, "Most rows")
    );
    assert!(file.parameters["table"].required);
    assert!(!file.parameters["note"].required);
    assert_eq!(file.parameters["note"].schema, json!({"type": "string"}));
    assert!(file.parameters["point"].required);
    assert_eq!(file.parameters["point"].schema, json!({"type": "object", "required": ["x"]}));
}

#[test]
fn what_it_extends_and_includes_is_told_but_not_from_comments_strings_or_raw() {
    let file = TemplateFile::parse(
        "{%- extends 'builtin/query' -%}{# {% include 'no' %} #}{% include \"a\" %}{% raw %}{% include 'no' %}{% endraw \
         %}{{ \"{% include 'no' %}\" }}{% include 'a' %}{{ {'x': {}} }}",
    )
    .unwrap();
    assert_eq!(file.extends.as_deref(), Some("builtin/query"));
    assert_eq!(file.includes, ["a"]);
}

#[test]
fn problems_name_the_line_of_the_file_and_what_was_meant() {
    let of = |text: &str| {
        let problem = problem(text);
        (problem.line, problem.message)
    };
    let told = [
        (of("---\nversion: 1.0.0\n"), Some(1), "not closed"),
        (of("---\nversion: 1.0.0\ndescripton: x\n---\n"), Some(3), "did you mean `description`?"),
        (of("---\nversion: 1.0\n---\n"), Some(2), "of the form 1.2.3"),
        (of("---\nprompt: never\n---\n"), Some(2), "required, optional or unused"),
        (of("---\nparameters:\n  Rows: {}\n---\n"), Some(3), "parameter `Rows`"),
        (of("---\nparameters:\n  prompt: {}\n---\n"), Some(3), "already"),
        (of("---\nparameters:\n  a: {type: strin}\n---\n"), Some(3), "parameter `a`"),
        (of("---\nparameters:\n  a: {type: integer, default: x}\n---\n"), Some(3), "default does not fit"),
        (of("---\na: [\n---\n"), Some(2), "not YAML"),
        (of("---\ndescription: x\n---\n\n{% if %}\n"), Some(5), ""),
        (of("---\ndescription: x\n---\n\n{{ prompt|uper }}\n"), Some(5), "did you mean `upper`?"),
        (of("one\n{{ prompt|safe }}"), Some(2), "escaped"),
        (of("{% filter safe %}{% endfilter %}"), Some(1), "escaped"),
        (of("{{ prompt is definied }}"), Some(1), "did you mean `defined`?"),
        (of("{{ [prompt, prompt] }}"), Some(1), "texts and numbers"),
        (of("{{ source + target }}"), Some(1), "`+` needs"),
        (of("{% set a = source[1:] %}"), Some(1), "for a loop or a filter"),
        (of("{{ source[1:]|default(1) }}"), Some(1), "for a loop or a filter"),
        (of("{{ source * 2 }}"), Some(1), "`*` needs"),
        (of("{{ [0]|map('default', source, true) }}"), Some(1), "`map` takes"),
        (of("{% macro m() %}{{ varargs }}{% endmacro %}"), Some(1), "`varargs`"),
        (of("{% autoescape false %}{% endautoescape %}"), Some(1), "no statement `autoescape`"),
        (of("{% import 'a' as b %}"), Some(1), "no statement `import`"),
        (of("{% extends prompt %}"), Some(1), "one name in quotes"),
        (of("a\n\0"), Some(2), "NUL"),
    ];
    for ((line, message), expected, part) in told {
        assert_eq!(line, expected, "{message}");
        assert!(message.contains(part), "{message} does not say {part}");
    }
}

#[test]
fn a_file_is_bounded_in_bytes_depth_and_aliases() {
    assert!(problem(&"x".repeat(64 * 1024 + 1)).message.contains("65536 bytes"));
    assert!(TemplateFile::parse(&"x".repeat(64 * 1024)).is_ok());
    for (open, close) in
        [("[", "]"), ("(", ")"), ("{1:", "}"), ("not ", ""), ("1+", ""), ("a.", ""), ("1 if 1 else ", "")]
    {
        let nested = format!("\n{{{{ {}1{} }}}}", open.repeat(5_000), close.repeat(5_000));
        assert_eq!(problem(&nested).line, Some(2), "{open}");
    }
    for (open, close) in [("{% if 1 %}", "{% endif %}"), ("{% for a in 'a' %}", "{% endfor %}")] {
        assert!(
            problem(&[open.repeat(1_500), close.repeat(1_500)].concat()).message.contains("recursion"),
            "{open}"
        );
    }
    assert!(
        TemplateFile::parse("{{ 1|int + 2 * 3 }}{{ '-' * 20 }}{{ prompt[1:]|list|length }}{% for a in source[:9] %}{% endfor %}{{ 'abc'[1:] }}{{ ['a', prompt|string]|join(', ') }}").is_ok()
    );
    let mut bomb = "---\nparameters:\n  a0: &a0 {enum: [1]}\n".to_owned();
    for level in 1..20 {
        let before = level - 1;
        bomb.push_str(
            &[
                "  a",
                &level.to_string(),
                ": &a",
                &level.to_string(),
                " {allOf: [*a",
                &before.to_string(),
                ", *a",
                &before.to_string(),
                "]}\n",
            ]
            .concat(),
        );
    }
    bomb.push_str("---\n");
    assert!(problem(&bomb).message.contains("not YAML"));
}

#[test]
fn version_and_description_of_a_file_are_bounded() {
    let version = |bytes: usize| format!("---\nversion: 1.0.0-{}\n---\n", "a".repeat(bytes - 6));
    assert!(TemplateFile::parse(&version(128)).is_ok());
    assert!(problem(&version(129)).message.contains("version has 129 bytes; at most 128"));
    let description = |bytes: usize| format!("---\ndescription: {}\n---\n", "a".repeat(bytes));
    assert!(TemplateFile::parse(&description(8192)).is_ok());
    assert!(problem(&description(8193)).message.contains("description has 8193 bytes; at most 8192"));
}

#[test]
fn a_default_that_takes_too_much_work_to_check_is_refused_at_once() {
    let both = |part: &str| format!("{{allOf: [{part}, {part}]}}");
    let schema = both("{properties: {a: {$ref: '#/$defs/n'}}}");
    let value = format!("{}1{}", "{a: ".repeat(40), "}".repeat(40));
    let text = format!(
        "---\nparameters:\n  p: {{$defs: {{n: {schema}}}, $ref: '#/$defs/n', default: {value}}}\n---\n{{{{ p }}}}"
    );
    let problem = problem(&text);
    assert_eq!(problem.line, Some(3));
    assert!(problem.message.contains("default cannot be checked against its schema"), "{problem}");
    assert!(problem.message.contains("too much work"), "{problem}");
}

/// Long chains and deep nests as large as a template may be, each with what stands around it.
fn chains() -> Vec<String> {
    let fill = |before: &str, part: &str, after: &str| {
        let times = (64 * 1024 - before.len() - after.len()) / part.len();
        [before, &part.repeat(times), after].concat()
    };
    let nest = |open: &str, inner: &str, close: &str| {
        let times = (64 * 1024 - inner.len()) / (open.len() + close.len());
        [&open.repeat(times), inner, &close.repeat(times)].concat()
    };
    let elifs = |number: usize| format!("{{%if a%}}{}", "{%elif a%}".repeat(number));
    let mut texts = vec![
        fill("{% if prompt %}a", "{%elif a%}", "{% endif %}"),
        fill("{% if prompt %}a", "{%-elif a-%}", ""),
        fill("{% if prompt %}{% raw %}{% endif %}{% endraw %}", "{%+ elif a %}", ""),
        fill("{% if prompt %}", "{# {% endif %} #}{{ '{% endif %}' }}{%elif a%}", "{% endif %}"),
        nest(&elifs(100), "", "{%endif%}"),
        nest(&elifs(10), "", "{%endif%}"),
        nest(&elifs(1), "", "{%endif%}"),
        fill("", "{% if a %}{% else %}", ""),
        fill("", "{% if a %}{% elif b %}{% else %}", ""),
        fill("", "{% for b in a %}{% else %}", ""),
        nest("{% for b in a %}{% else %}", "", "{% endfor %}"),
        fill("{{ 1", " ", "}}"),
    ];
    for (open, close) in [
        ("{% if a %}", "{% endif %}"),
        ("{% if a %}{% else %}", "{% endif %}"),
        ("{% for a in b %}", "{% endfor %}"),
        ("{% with a = 1 %}", "{% endwith %}"),
        ("{% set a %}", "{% endset %}"),
        ("{% filter upper %}", "{% endfilter %}"),
        ("{% macro m() %}", "{% endmacro %}"),
        ("{% call m() %}", "{% endcall %}"),
        ("{% block b %}", "{% endblock %}"),
    ] {
        texts.extend([nest(open, "", close), fill("", open, "")]);
    }
    for part in [
        "a or ",
        "a and ",
        "a ~ ",
        "1 + ",
        "1 - ",
        "2 ** ",
        "a < ",
        "a in ",
        "a not in ",
        "not ",
        "- ",
        "(",
        "[",
        "{1:",
        "a(",
        "a[",
        "1 if 1 else ",
        "a if ",
        "a.",
        "a, ",
        "1, ",
    ] {
        texts.extend([
            fill("{{ ", part, "1 }}"),
            fill("{% if ", part, "1 %}{% endif %}"),
            fill("{% set a = ", part, "1 %}"),
            fill("{% for a in ", part, "1 %}{% endfor %}"),
            fill("{{ m(", part, "1) }}"),
        ]);
    }
    for part in [".b", "|upper", "[0]", "[1:]", "()", " is defined", " is not none", "|default(a)", "'a'"] {
        texts.extend([fill("{{ a", part, " }}"), fill("{% filter upper", part, "%}{% endfilter %}")]);
    }
    // As much as is allowed: of tokens in a tag, and of statements around it.
    for (before, part, times, after) in [
        ("", "a or ", 195, "1"),
        ("", "1 + ", 195, "1"),
        ("a", ".b", 195, ""),
        ("a", "|upper", 195, ""),
        ("a", "[0]", 130, ""),
        ("", "not ", 390, "1"),
        ("", "1 if 1 else ", 24, "1"),
    ] {
        let tag = format!("{{{{ {before}{}{after} }}}}", part.repeat(times));
        texts.push([elifs(100), "{% if a %}".repeat(45), tag, "{% endif %}".repeat(46)].concat());
    }
    texts
}

#[test]
fn no_chain_or_nest_overflows_a_small_stack() {
    for text in chains() {
        // The least that a runtime's threads have. An overflow ends the process, whatever the outcome is here.
        let reading = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(move || {
            assert!(text.len() <= 64 * 1024);
            TemplateFile::parse(&text).map(drop)
        });
        let _read = reading.expect("a thread").join().expect("no panic");
    }
}

#[test]
fn an_if_has_so_many_elifs_and_no_more() {
    let text =
        |elifs: usize| ["{% if prompt %}", &"\n{% elif prompt %}".repeat(elifs), "{% endif %}"].concat();
    assert!(TemplateFile::parse(&text(100)).is_ok());
    let problem = problem(&text(101));
    assert_eq!(problem.line, Some(102));
    assert!(problem.message.contains("at most 100 `elif`"), "{problem}");
    // One after another they are no deeper.
    assert!(TemplateFile::parse(&text(100).repeat(20)).is_ok());
    let within = ["{% if prompt %}{% elif prompt %}", &text(100), "{% endif %}"].concat();
    assert!(TemplateFile::parse(&within).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_parsing_panic(text in "(---\n)?[ -~{}%#\"'\\n]{0,200}") {
        let _ = TemplateFile::parse(&text);
    }

    #[test]
    fn no_tags_make_parsing_panic(parts in proptest::collection::vec("\\{\\{|\\}\\}|\\{%|%\\}|\\{#|#\\}|raw|endraw|if|\"|'|-|é|\\\\|is|\\|| ", 0..40)) {
        let _ = TemplateFile::parse(&parts.concat());
    }
}
