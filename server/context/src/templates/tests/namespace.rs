//! Which template a name means, what it inherits, and what is told when it fails.

use claude_comms_descriptors::template::PromptRule;

use super::super::{Layer, RenderErrorKind, RenderLimits, TemplateRecord, Templates};
use super::{context, one, record, try_render};

fn problems(records: Vec<TemplateRecord>) -> String {
    let problems = Templates::new(records).expect_err("problems");
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn three_layers() -> Templates {
    Templates::new(vec![
        record(
            Layer::BuiltIn,
            "query",
            "---\nversion: 1.2.0\ndescription: Asks\nprompt: optional\nparameters:\n  a: {type: string, default: x}\n  b: \
             {type: integer}\n---\n{% block head %}built in{% endblock %} {{ prompt }}",
        ),
        record(Layer::Directory, "query", "{% extends 'builtin/query' %}{% block head %}dirs + {{ super() }}{% endblock %}"),
        record(
            Layer::Module,
            "query",
            "---\nversion: 3.0.0\nparameters:\n  b: {type: string, default: own}\n---\n{% extends \"dirs/query\" %}{% block \
             head %}module + {{ super() }}{% endblock %}",
        ),
        record(Layer::Directory, "uses", "[{% include 'query' %}|{% include 'builtin/query' %}]"),
    ])
    .unwrap()
}

#[test]
fn the_module_wins_over_directories_and_those_over_built_in_ones() {
    let templates = three_layers();
    let of =
        |name: &str| templates.render(name, context! { prompt => "p" }, RenderLimits::default()).unwrap();
    assert_eq!(of("query"), "module + dirs + built in p");
    assert_eq!(of("dirs/query"), "dirs + built in p");
    assert_eq!(of("builtin/query"), "built in p");
    assert_eq!(of("uses"), "[dirs + built in p|built in p]");
}

#[test]
fn a_module_replaces_no_part_of_the_operators_templates() {
    let templates = Templates::new(vec![
        record(Layer::BuiltIn, "context", "{% block a %}built in{% endblock %}"),
        record(
            Layer::Directory,
            "context",
            "{% extends 'builtin/context' %}{% block a %}{{ super() }} {% include 'house' %} {% include 'frame' %}{% endblock %}",
        ),
        record(Layer::Directory, "house", "operator's house"),
        record(Layer::Directory, "frame", "<{% include 'house' %}{% block b %}{% include 'house' %}{% endblock %}>"),
        record(Layer::Directory, "query", "{% extends 'frame' %}"),
        record(Layer::Module, "house", "MODULE"),
        record(Layer::Module, "frame", "MODULE"),
        record(Layer::Module, "query", "{% extends 'dirs/frame' %}{% block b %}{% include 'house' %} {{ super() }}{% endblock %}"),
        record(Layer::Module, "error", "{% extends 'dirs/query' %}"),
    ])
    .unwrap();
    let of = |name: &str| templates.render(name, context! {}, RenderLimits::default()).unwrap();
    let frame = "<operator's houseoperator's house>";
    assert_eq!(of("dirs/context"), format!("built in operator's house {frame}"));
    assert_eq!(of("dirs/query"), frame);
    assert_eq!(of("error"), frame);
    // Its own, which it overrides by name, says what the module wants; what that extends is as the operator wrote it.
    assert_eq!(of("query"), "<operator's houseMODULE operator's house>");
    assert_eq!(of("house"), "MODULE");
}

#[test]
fn a_modules_template_is_none_to_the_operators() {
    for body in [
        "{% include 'house' %}",
        "{% extends 'house' %}",
        "{% include 'module/house' %}",
        "{% extends 'module/house' %}",
    ] {
        let told = problems(vec![
            record(Layer::Directory, "context", body),
            record(Layer::Module, "house", "MODULE"),
        ]);
        assert!(told.starts_with("template dirs/context: there is no template `"), "{told}");
        assert!(!told.contains("did you mean"), "{told}");
    }
}

#[test]
fn an_extending_template_inherits_parameters_rule_and_description() {
    let templates = three_layers();
    let info = templates.info("query").unwrap();
    assert_eq!(
        (info.layer, info.version.as_str(), info.description.as_str()),
        (Layer::Module, "3.0.0", "Asks")
    );
    assert_eq!(info.prompt, PromptRule::Optional);
    assert_eq!(info.parameters.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert!(!info.parameters["b"].required, "its own entry wins");
    assert!(templates.info("builtin/query").unwrap().parameters["b"].required);
    assert_eq!(templates.info("dirs/uses").unwrap().prompt, PromptRule::Required);
    let names: Vec<_> = templates.names().into_iter().map(|info| (info.name, info.layer)).collect();
    assert_eq!(names, [("query".to_owned(), Layer::Module), ("uses".to_owned(), Layer::Directory)]);
}

#[test]
fn records_come_back_as_they_were_and_survive_json() {
    let templates = three_layers();
    let written = serde_json::to_string(templates.records()).unwrap();
    let read: Vec<TemplateRecord> = serde_json::from_str(&written).unwrap();
    assert_eq!(read, templates.records());
    assert!(written.contains(r#"{"layer":"built_in","name":"query","text":"#), "{written}");
}

#[test]
fn an_unknown_template_is_told_with_names_like_it() {
    let unknown = three_layers().info("qurey").unwrap_err();
    assert_eq!(unknown.near[0], "query");
    assert_eq!(unknown.to_string(), "there is no template `qurey`; did you mean `query`?");
}

#[test]
fn every_problem_of_a_namespace_is_told() {
    let told = problems(vec![
        record(Layer::BuiltIn, "a", "{% extends 'b' %}"),
        record(Layer::BuiltIn, "b", "{% extends 'a' %}"),
        record(Layer::Directory, "c", "{% include 'quer' %}"),
        record(Layer::Directory, "query", "---\nversion: 1\n---\n"),
        record(Layer::Module, "context", "mine"),
        record(Layer::Module, "self", "{% extends 'self' %}"),
        record(Layer::Module, "Bad Name", "x"),
        record(Layer::Module, "twice", "x"),
        record(Layer::Module, "twice", "x"),
        record(Layer::BuiltIn, "query2", "x"),
    ]);
    for part in [
        "template builtin/a: extends itself: builtin/a extends builtin/b extends builtin/a",
        "template builtin/b: extends itself",
        "template dirs/c: there is no template `quer` to extend or include; did you mean `query2`?",
        "template dirs/query, line 2: version must be of the form 1.2.3",
        "template module/context: a module cannot replace `context`",
        "template module/self: extends itself: module/self extends module/self; the replaced one has a name with prefix",
        "template module/Bad Name: a template's name is",
        "template module/twice: there are two of this name",
    ] {
        assert!(told.contains(part), "{told}\ndoes not say\n{part}");
    }
    let many = (0..33).map(|n| record(Layer::Module, &format!("t{n}"), "x")).collect();
    assert!(problems(many).contains("at most 32"));
}

#[test]
fn an_undefined_variable_is_named_with_its_line_and_the_known_ones() {
    let text = "---\ndescription: x\n---\nfirst\n{{ promt }}";
    let error = try_render(text, context! { prompt => "p", source => "s" }).unwrap_err();
    assert_eq!(error.kind, RenderErrorKind::Undefined);
    assert_eq!((error.template.as_str(), error.line), ("builtin/t", Some(5)));
    assert_eq!(error.message, "`promt` is undefined; the variables are prompt, source");
    for body in [
        "{{ source.nme }}",
        "{% if nothing %}{% endif %}",
        "{{ nothing|upper }}",
        "{% for a in nothing %}{% endfor %}",
        "{{ nothing.more }}",
    ] {
        let error = try_render(body, context! { source => context! { name => "s" } }).unwrap_err();
        assert_eq!(error.kind, RenderErrorKind::Undefined, "{body}: {error}");
    }
}

#[test]
fn an_error_in_an_included_template_is_told_of_that_template() {
    let templates = Templates::new(vec![
        record(Layer::BuiltIn, "outer", "{% include 'inner' %}"),
        record(Layer::BuiltIn, "inner", "---\ndescription: x\n---\n\n{{ nope }}"),
    ])
    .unwrap();
    let error = templates.render("outer", context! {}, RenderLimits::default()).unwrap_err();
    assert_eq!((error.template.as_str(), error.line), ("builtin/inner", Some(5)));
}

#[test]
fn statements_alone_on_a_line_leave_none() {
    let text = one("a\n{% if true %}\n  b\n{% endif %}\nc\n")
        .render("t", context! {}, RenderLimits::default())
        .unwrap();
    assert_eq!(text, "a\n  b\nc");
}
