//! The token budget: kept by every prompt, at the cost of what matters least, and told.

use claude_comms_context::{Ask, ComposeError, Composed, Composer, Focus, Scene, estimate_tokens};
use claude_comms_descriptors::{Capability, DataType, Descriptor, Example};
use proptest::prelude::*;
use serde_json::json;

use crate::scenes::{ask, composer, descriptor, marker_asks_arangodb, parameters, scene, turns};

const QUESTION: &str = "Which index does the import of documents want?";

fn focus() -> Focus<'static> {
    Focus { prompt: QUESTION, capability: None }
}

fn capabilities(of: Vec<(String, u8)>) -> Vec<Capability> {
    let one = |(number, (text, deep)): (usize, (String, u8))| {
        let mut schema = json!({ "type": "string", "description": text });
        for level in 0..deep {
            schema = json!({ "type": "object", "properties": { format!("level_{level}"): schema }, "description": text });
        }
        Capability {
            name: format!("capability_{number}"),
            description: text.clone(),
            tags: vec![],
            read_only: deep % 2 == 0,
            input: (deep > 0).then_some(schema),
            output: None,
            examples: (deep > 1)
                .then(|| Example {
                    description: text.clone(),
                    input: Some(json!({ "x": text })),
                    output: None,
                })
                .into_iter()
                .collect(),
        }
    };
    of.into_iter().enumerate().map(one).collect()
}

prop_compose! {
    fn module(name: &'static str)(
        texts in proptest::collection::vec(("[a-zA-Z ,.{}<>\u{e4}\u{6587}\n]{0,120}", 0_u8..5), 0..25),
        glossary in proptest::collection::btree_map("[a-z]{1,9}( [a-z]{1,9})?", "[a-z ]{0,80}", 0..25),
        types in proptest::collection::vec("[a-z]{1,3}", 0..6),
        role in "[a-z ]{1,200}",
    ) -> Descriptor {
        let mut descriptor = Descriptor { title: String::new(), ..descriptor("kettle") };
        descriptor.name = name.to_owned();
        descriptor.capabilities = capabilities(texts);
        descriptor.data_types = types.into_iter().map(|name| DataType {
            media_type: format!("text/{name}"),
            description: role.clone(),
            schema: Some(json!({ "type": "object", "description": role })),
            name,
        }).collect();
        descriptor.context.glossary = glossary;
        descriptor.context.role = format!("ROLE of {name} {role}");
        descriptor.context.constraints = vec![format!("CONSTRAINT of {name}")];
        descriptor
    }
}

fn within(scene: &Scene, token_budget: u32) -> Result<Composed, ComposeError> {
    Composer::new(Scene { token_budget, ..scene.clone() }).unwrap().system_prompt(focus())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn system_prompt_keeps_its_budget_and_its_roles_and_a_larger_budget_omits_no_more(
        source in module("asker"), target in module("asked"), small in 1_000_u32..9_000, more in 0_u32..9_000,
    ) {
        let scene = scene(Some(source), Some(target));
        match within(&scene, small) {
            Ok(tight) => {
                prop_assert!(tight.report.tokens <= small * 3 / 4);
                prop_assert!(estimate_tokens(&tight.text) <= tight.report.tokens);
                for must in ["ROLE of asker", "ROLE of asked", "CONSTRAINT of asker", "CONSTRAINT of asked"] {
                    prop_assert!(tight.text.contains(must), "{must} is missing from {}", tight.text);
                }
                let again = within(&scene, small).unwrap();
                prop_assert_eq!(&again, &tight);
                let roomy = within(&scene, small + more).unwrap();
                prop_assert!(roomy.text.len() >= tight.text.len());
                for omitted in &roomy.report.omitted {
                    let capability = omitted.what.rsplit(' ').next().unwrap();
                    let there_too = tight.report.omitted.iter().any(|it| it.what == omitted.what || it.what == format!("capability {capability}")
                        || it.what == format!("shared data type {capability}"));
                    prop_assert!(there_too, "{omitted:?} is left out of {} tokens, not of {small}", small + more);
                }
            }
            Err(ComposeError::Budget { needed, available, sufficient, token_budget, .. }) => {
                prop_assert_eq!((token_budget, available), (small, small * 3 / 4));
                prop_assert!(needed > available);
                prop_assert!(within(&scene, sufficient).is_ok());
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn message_keeps_its_budget_and_its_question(
        texts in proptest::collection::vec("[a-z <>\u{6587}\n]{1,400}", 1..12), available in 800_u32..4_000,
    ) {
        let mut history = turns(texts.len());
        for (turn, text) in history.iter_mut().zip(&texts) {
            turn.answer.push_str(text);
        }
        let none = parameters(&[]);
        let composer = composer(marker_asks_arangodb());
        let fixed_tokens = 12_000 - available;
        let ask = Ask { template: Some("multi_turn"), history: &history, fixed_tokens, prompt: QUESTION, ..ask(&none) };
        let message = composer.message(&ask).unwrap();
        prop_assert!(message.report.tokens <= available + estimate_tokens(QUESTION));
        prop_assert!(message.text.contains(QUESTION));
        // Oldest first: what is there is the end of the history.
        let shown: Vec<_> = (1..=history.len()).filter(|it| message.text.contains(&format!("[{it}] Marker asked:"))).collect();
        prop_assert_eq!(shown.last(), Some(&history.len()));
        prop_assert_eq!(shown.len(), history.len() + 1 - shown[0]);
        if shown[0] > 1 {
            let told = format!("{} earlier turn", shown[0] - 1);
            prop_assert!(message.text.contains(&told), "{}", message.text);
            prop_assert_eq!(&message.report.omitted[0].what, "turn 1");
        }
    }
}

#[test]
fn what_is_left_out_goes_in_the_documented_order() {
    let mut steps = Vec::new();
    let scene = marker_asks_arangodb();
    for token_budget in (1_500..5_000).rev().step_by(50) {
        let Ok(system) = within(&scene, token_budget) else { break };
        for omitted in system.report.omitted {
            assert_eq!(omitted.why, "token budget");
            if !steps.contains(&omitted.what) {
                steps.push(omitted.what);
            }
        }
    }
    insta::assert_snapshot!(steps.join("\n"));
}

#[test]
fn system_prompt_that_cannot_fit_names_its_need() {
    let error = within(&marker_asks_arangodb(), 500).unwrap_err();
    let ComposeError::Budget { place, needed, available, sufficient, .. } = &error else { panic!("{error}") };
    assert_eq!((*place, *available), ("system prompt", 375));
    assert!(error.to_string().contains(&format!("needs {needed} tokens")), "{error}");
    assert!(within(&marker_asks_arangodb(), *sufficient).is_ok());
    assert!(within(&marker_asks_arangodb(), *sufficient - 2).is_err());
}

#[test]
fn newest_turn_is_cut_before_the_question_is_refused() {
    let mut history = turns(3);
    history[2].answer = "word ".repeat(20_000);
    let none = parameters(&[]);
    let ask = Ask { template: Some("multi_turn"), history: &history, fixed_tokens: 10_000, ..ask(&none) };
    let message = composer(marker_asks_arangodb()).message(&ask).unwrap();
    assert!(message.text.contains("[96000 characters left out]"), "{}", message.text);
    let what: Vec<_> = message.report.omitted.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(what, ["turn 1", "turn 2", "texts of turn 3 beyond 4000 characters"]);
    // A template that does not show the history has nothing to cut.
    let message =
        composer(marker_asks_arangodb()).message(&Ask { template: Some("follow_up"), ..ask }).unwrap();
    assert_eq!(message.report.omitted, []);
}

#[test]
fn most_relevant_capability_is_the_last_to_go() {
    let mut target = descriptor("arangodb");
    let filler = |number: usize| (format!("Does the thing number {number} with tables and tools."), 3);
    target.capabilities.extend(capabilities((0..30).map(filler).collect()));
    let composer = Composer::new(Scene { token_budget: 3_600, ..scene(None, Some(target)) }).unwrap();
    for (question, name) in
        [("How do I import documents?", "import_documents"), ("Run this AQL query", "run_aql")]
    {
        let system = composer.system_prompt(Focus { prompt: question, capability: None }).unwrap();
        assert!(
            system.report.omitted.iter().any(|it| it.what.starts_with("capability ")),
            "{:?}",
            system.report.omitted
        );
        assert!(system.text.contains(&format!("- {name} (")), "{}", system.text);
        assert!(system.text.contains("less to do with the first question"), "{}", system.text);
    }
}
