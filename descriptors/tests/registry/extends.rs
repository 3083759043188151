//! Contexts that begin with those of other modules.

use std::collections::BTreeMap;

use claude_comms_descriptors::registry::{EXTENDS_DEPTH, ExtendsError};
use claude_comms_descriptors::{ContextSpec, Descriptor, TemplateText};

use crate::{module, registry, strings};

fn extending(name: &str, parent: Option<&str>) -> Descriptor {
    let context = ContextSpec { extends: parent.map(str::to_owned), ..ContextSpec::default() };
    Descriptor { context, ..module(name) }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn templates(pairs: &[(&str, &str)]) -> BTreeMap<String, TemplateText> {
    let text = |text: &str| TemplateText::Inline { inline: text.to_owned() };
    pairs.iter().map(|(name, body)| ((*name).to_owned(), text(body))).collect()
}

#[test]
fn what_is_empty_is_inherited_and_what_is_not_is_joined() {
    let grandparent = Descriptor {
        context: ContextSpec {
            role: "A database.".to_owned(),
            instructions: "Be brief.".to_owned(),
            constraints: strings(&["no joins", "no guesses"]),
            glossary: map(&[("key", "of the grandparent"), ("row", "of the grandparent")]),
            templates: templates(&[("query", "grandparent")]),
            extends: None,
        },
        ..module("grandparent")
    };
    let parent = Descriptor {
        context: ContextSpec {
            role: "ArangoDB.".to_owned(),
            constraints: strings(&["no guesses", "AQL only"]),
            glossary: map(&[("key", "of the parent")]),
            extends: Some("grandparent".to_owned()),
            ..ContextSpec::default()
        },
        ..module("parent")
    };
    let child = Descriptor {
        context: ContextSpec {
            constraints: strings(&["read only", "no joins"]),
            glossary: map(&[("edge", "of the child")]),
            templates: templates(&[("query", "child"), ("own", "child")]),
            extends: Some("parent".to_owned()),
            ..ContextSpec::default()
        },
        ..module("child")
    };
    let registry = registry([grandparent, parent, child]);

    let (context, chain) = registry.resolve_context("child").unwrap();
    assert_eq!(chain, ["child", "parent", "grandparent"]);
    assert_eq!(
        context,
        ContextSpec {
            role: "ArangoDB.".to_owned(),
            instructions: "Be brief.".to_owned(),
            constraints: strings(&["no joins", "no guesses", "AQL only", "read only"]),
            glossary: map(&[
                ("edge", "of the child"),
                ("key", "of the parent"),
                ("row", "of the grandparent")
            ]),
            templates: templates(&[("query", "child"), ("own", "child")]),
            extends: None,
        }
    );
}

#[test]
fn a_context_that_extends_nothing_is_itself() {
    let (context, chain) = registry([extending("a", None)]).resolve_context("a").unwrap();
    assert_eq!((context, chain), (ContextSpec::default(), strings(&["a"])));
}

#[test]
fn a_circle_is_an_error_that_shows_it() {
    let registry =
        registry([extending("a", Some("b")), extending("b", Some("c")), extending("c", Some("b"))]);
    let error = registry.resolve_context("a").unwrap_err();
    assert_eq!(error.to_string(), "context extends itself: a -> b -> c -> b");
    assert!(matches!(&error, ExtendsError::Cycle { chain } if chain.len() == 4));
}

#[test]
fn a_new_descriptor_closes_a_circle_before_it_is_registered() {
    let registry = registry([extending("b", Some("a"))]);
    let error = registry.resolve_context_of(&extending("a", Some("b"))).unwrap_err();
    assert_eq!(error.to_string(), "context extends itself: a -> b -> a");
    let own = registry.resolve_context_of(&extending("x", Some("x"))).unwrap_err();
    assert_eq!(own.to_string(), "context extends itself: x -> x");
}

#[test]
fn a_module_that_is_not_known_is_an_error_with_a_near_name() {
    let registry = registry([extending("a", Some("b")), extending("b", Some("markr")), module("marker")]);
    let error = registry.resolve_context("a").unwrap_err();
    assert_eq!(
        error.to_string(),
        "context of a -> b -> markr: module markr is not registered; did you mean marker?"
    );
    assert_eq!(error.chain(), ["a", "b", "markr"]);
    let error = registry.resolve_context("zzz").unwrap_err();
    assert_eq!(error.to_string(), "context of zzz: module zzz is not registered");
}

#[test]
fn the_depth_is_bounded() {
    let chain = |length: usize| {
        let parent = |at: usize| (at < length).then(|| format!("m{}", at + 1));
        registry((0..=length).map(|at| extending(&format!("m{at}"), parent(at).as_deref())))
    };
    assert_eq!(chain(EXTENDS_DEPTH).resolve_context("m0").unwrap().1.len(), EXTENDS_DEPTH + 1);
    let error = chain(EXTENDS_DEPTH + 1).resolve_context("m0").unwrap_err();
    assert!(matches!(&error, ExtendsError::TooDeep { .. }));
    assert!(error.to_string().starts_with("context extends more than 8 modules: m0 -> m1 -> "), "{error}");
}
