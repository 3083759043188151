//! What a caller changes for one conversation.

use claude_comms_context::{Ask, Focus, Overrides};

use crate::scenes::{ask, composer, marker_asks_arangodb, parameters, system, teapot_asks_kettle, turns};

fn overrides() -> Overrides {
    Overrides {
        source_role: Some("You extract invoices.".to_owned()),
        target_role: Some("You know ArangoDB's graphs alone.".to_owned()),
        relationship: Some("This week Marker tries ArangoDB out.".to_owned()),
        instructions: Some("Answer in two sentences.".to_owned()),
        constraints: vec!["No deletions.".to_owned()],
        glossary: [
            ("collection".to_owned(), "Marker calls it an output folder.".to_owned()),
            ("batch".to_owned(), "All PDFs of one night.".to_owned()),
        ]
        .into(),
        omit_sections: vec!["shared_data_types".to_owned(), "capabilities".to_owned()],
        token_budget: Some(5_000),
    }
}

#[test]
fn every_override_is_in_the_system_prompt() {
    let mut scene = marker_asks_arangodb();
    scene.overrides = overrides();
    insta::assert_snapshot!(system(scene).text);
}

#[test]
fn what_was_asked_to_be_left_out_is_told_with_its_tokens() {
    let mut scene = marker_asks_arangodb();
    scene.overrides = overrides();
    let report = system(scene).report;
    assert_eq!(report.token_budget, 5_000);
    let omitted: Vec<_> = report.omitted.iter().map(|it| (it.what.as_str(), it.why.as_str())).collect();
    let why = "asked to be left out";
    assert_eq!(omitted, [("section shared_data_types", why), ("section capabilities", why)]);
    assert!(report.omitted.iter().all(|it| it.tokens > 50), "{:?}", report.omitted);
}

#[test]
fn history_that_was_asked_to_be_left_out_is_not_in_the_message() {
    let mut scene = teapot_asks_kettle();
    scene.overrides.omit_sections = vec!["history".to_owned()];
    let (none, history) = (parameters(&[]), turns(3));
    let composer = composer(scene);
    let ask = Ask { template: Some("multi_turn"), history: &history, ..ask(&none) };
    let message = composer.message(&ask).unwrap();
    assert!(!message.text.contains("Answer 1"));
    assert_eq!(message.report.omitted[0].what, "section history");
    // A template without a history leaves none out.
    let message = composer.message(&Ask { template: Some("follow_up"), ..ask }).unwrap();
    assert_eq!(message.report.omitted, []);
}

#[test]
fn every_bad_override_is_named() {
    let mut scene = teapot_asks_kettle();
    scene.overrides = Overrides {
        target_role: Some("x".repeat(20_000)),
        constraints: vec![String::new(); 101],
        glossary: [(" ".to_owned(), String::new())].into(),
        omit_sections: vec!["glosary".to_owned(), "target".to_owned(), "output_format".to_owned()],
        token_budget: Some(400),
        ..Overrides::default()
    };
    let problems: Vec<_> =
        scene.problems().into_iter().map(|(field, problem)| format!("{field}: {problem}")).collect();
    insta::assert_snapshot!(problems.join("\n"));
    assert!(claude_comms_context::Composer::new(scene).is_err());
}

#[test]
fn named_capability_is_kept_when_the_others_go() {
    let mut scene = marker_asks_arangodb();
    scene.overrides.token_budget = Some(2_200);
    let system = composer(scene)
        .system_prompt(Focus { prompt: "Run a query", capability: Some("create_graph") })
        .unwrap();
    assert!(system.text.contains("- create_graph ("), "{}", system.text);
    assert!(!system.text.contains("- import_documents ("), "{}", system.text);
}
