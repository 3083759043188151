//! Every known way to make much of little ends soon, with a clear error.

use std::time::{Duration, Instant};

use super::super::{RenderErrorKind, RenderLimits, Templates};
use super::{Layer, context, one, record, render, try_render};

/// Far more than any of these needs, far less than what they try.
const SOON: Duration = Duration::from_secs(20);

fn fails(body: &str, kind: RenderErrorKind) {
    let start = Instant::now();
    let error = try_render(
        body,
        context! { x => "x", list => [1, 2, 3], prompt => super::super::escape::prompt_text("p") },
    )
    .expect_err(body);
    assert_eq!(error.kind, kind, "{body}: {error}");
    assert!(start.elapsed() < SOON, "{body} took {:?}", start.elapsed());
}

fn ends(body: &str) {
    let start = Instant::now();
    let _ = try_render(body, context! { x => "x", list => [1, 2, 3] });
    assert!(start.elapsed() < SOON, "{body} took {:?}", start.elapsed());
}

#[test]
fn doubling_a_text_runs_out_of_work() {
    let times = |step: &str| format!("{{% set a = 'aaaaaaaa' %}}{}", step.repeat(40));
    for step in [
        "{% set a = a ~ a %}",
        "{% set a = a|string + a|string %}",
        "{% set a = a|replace('a', 'aaaaaaaa') %}",
        "{% set a = ['1', a|string, a|string]|join(a) %}",
        "{% set a %}{{ a }}{{ a }}{% endset %}",
        "{% set a = a|indent(100000, true) ~ '\n' ~ a %}",
    ] {
        fails(&times(step), RenderErrorKind::TooMuchWork);
    }
}

#[test]
fn one_step_that_makes_much_is_refused() {
    for body in [
        "{{ 'x' * 1000000000 }}",
        "{{ 'x' * 10000000000000000000 }}",
        "{{ 'xxxxxxxxxxxxxxx' * 90000000 }}",
        "{{ x|indent(1000000000, true) }}",
        "{{ range(1000000000) }}",
        "{{ range(0, 9223372036854775807, 1)|list }}",
        "{{ 2 ** 100000000 }}",
        "{{ [1]|tojson(indent=1000000000) }}{{ nothing }}",
        "{{ 1.5|round(1000000000) }}{{ nothing }}",
    ] {
        let start = Instant::now();
        assert!(try_render(body, context! { x => "x" }).is_err(), "{body}");
        assert!(start.elapsed() < SOON, "{body} took {:?}", start.elapsed());
    }
}

#[test]
fn loops_run_out_of_work() {
    for body in [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{{ range(100000)|list|length }}{% endfor %}",
        "{% for a in range(100000) %}{{ range(100000)|sort|reverse|unique|first }}{% endfor %}",
        "{% for a in range(100000) %}{{ range(100000)|join|length }}{% endfor %}",
        "{% for a in range(100000) %}{{ range(100000)|select('odd')|first }}{% endfor %}",
        "{% for a in range(100000) %}{{ range(100000)|map('string')|last }}{% endfor %}",
        "{% for a in range(100000) %}{{ range(100000)|max }}{{ range(100000)|min }}{% endfor %}",
        "{% for a in range(100000) %}{{ 99999 in range(100000) }}{% endfor %}",
        "{% for a in range(100000) %}{{ range(100000) == range(100000) }}{% endfor %}",
        "{% for a in range(100000) %}{{ range(100000)|tojson|length }}{% endfor %}",
        "{% for a in range(100000) %}{{ range(100000)|string|length }}{% endfor %}",
        "{% for a in range(100000) %}{{ range(100000)|trim|length }}{% endfor %}",
    ] {
        fails(body, RenderErrorKind::TooMuchWork);
    }
}

#[test]
fn a_longer_result_than_allowed_is_refused_with_its_limit() {
    let limits = RenderLimits { fuel: 1_000_000, output_bytes: 10 };
    let error = one("{{ x }}{{ x }}").render("t", context! { x => "123456" }, limits).unwrap_err();
    assert_eq!(error.kind, RenderErrorKind::TooLong);
    assert!(error.message.contains("more than 10 bytes"), "{error}");
    let just = one("{{ x }}").render("t", context! { x => "1234567890" }, limits).unwrap();
    assert_eq!(just.len(), 10);
}

#[test]
fn recursion_ends() {
    for body in [
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m() %}{{ n() }}{% endcall %}{% endmacro %}{{ n() }}",
        "{% macro m(a) %}{{ m(a ~ 'x') }}{{ m(a ~ 'y') }}{% endmacro %}{{ m('') }}",
        "{% block b %}{{ self.b() }}{% endblock %}",
        "{% for a in list recursive %}{{ loop(list) }}{% endfor %}",
        "{% include 't' %}",
        "{% for a in list %}{% include 't' %}{% endfor %}",
    ] {
        let start = Instant::now();
        assert!(try_render(body, context! { list => [1, 2] }).is_err(), "{body}");
        assert!(start.elapsed() < SOON, "{body} took {:?}", start.elapsed());
    }
}

#[test]
fn long_chains_of_filters_and_slices_do_not_exhaust_the_stack() {
    for step in [
        "a|reverse",
        "a|map('string')",
        "a|list",
        "a|select",
        "a|sort",
        "a[0:]|list",
        "a|unique",
        "a|reject('none')",
        "a[::-1]|map('string')",
    ] {
        let body = [
            "{% set a = list %}",
            &format!("{{% set a = {step} %}}").repeat(60_000 / (step.len() + 14)),
            "{{ a }}{{ a == list }}",
        ]
        .concat();
        ends(&body);
        let deep = format!(
            "{{% macro m(a, n) %}}{}{{% if n %}}{{{{ m(a, n - 1) }}}}{{% endif %}}{{{{ a }}}}{{% endmacro %}}{{{{ m(list, 20) }}}}",
            format!("{{% set a = {step} %}}").repeat(30_000 / (step.len() + 14))
        );
        ends(&deep);
    }
}

#[test]
fn long_chains_of_extends_and_includes_do_not_exhaust_the_stack() {
    let mut records = vec![record(Layer::BuiltIn, "t0", "{% block b %}x{% endblock %}")];
    for level in 1..=12 {
        let text = format!(
            "{{% extends 't{}' %}}{{% block b %}}{{{{ super() }}}}{{{{ super() }}}}{{% endblock %}}",
            level - 1
        );
        records.push(record(Layer::BuiltIn, &format!("t{level}"), &text));
    }
    let templates = Templates::new(records).unwrap();
    let text = templates.render("t12", context! {}, RenderLimits::default()).unwrap();
    assert_eq!(text.len(), 1 << 12);
}

#[test]
fn a_large_prompt_is_within_the_default_limits() {
    let capabilities: Vec<_> =
        (0..500).map(|n| context! { name => format!("c{n}"), description => "d".repeat(800) }).collect();
    let text = render(
        "{% for c in capabilities %}\n- {{ c.name }}: {{ c.description|indent(4) }}\n{% endfor %}",
        context! { capabilities },
    );
    assert!(text.len() > 400_000);
}

#[test]
fn a_template_as_deep_as_one_may_be_is_compiled_and_rendered_on_a_small_stack() {
    let elifs = ["{% if not x %}", &"{% elif not x %}".repeat(100)].concat();
    let deep = [
        elifs,
        "{% else %}".to_owned(),
        "{% if x %}".repeat(45),
        format!("{{{{ x{} }}}}", "|upper".repeat(190)),
        "{% endif %}".repeat(46),
    ]
    .concat();
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let rendering = thread.spawn(move || render(&deep, context! { x => "x" })).expect("a thread");
    assert_eq!(rendering.join().expect("no panic"), "X");
    let chain = ["{% if prompt %}a", &"{%elif a%}".repeat(6_000), "{% endif %}"].concat();
    let problems = Templates::new(vec![record(Layer::Module, "query", &chain)]).expect_err("too deep");
    assert!(problems[0].message.contains("at most 100 `elif`"), "{}", problems[0]);
}
