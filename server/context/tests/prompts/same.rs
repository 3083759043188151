//! The same in, the same out.

use claude_comms_context::{Ask, Focus};

use crate::scenes::{QUESTION, ask, composer, marker_asks_arangodb, parameters};

#[test]
fn same_scene_gives_the_same_bytes_whoever_composes() {
    let focus = Focus { prompt: QUESTION, capability: Some("run_aql") };
    let none = parameters(&[]);
    let mut scene = marker_asks_arangodb();
    scene.token_budget = 2_300;
    let first = composer(scene.clone());
    let system = first.system_prompt(focus).unwrap();
    assert!(!system.report.omitted.is_empty());
    // A composer that was used before, a new one, and one of the stored scene.
    let restored = claude_comms_context::Scene::from_json(&scene.to_json()).unwrap();
    assert_eq!(first.system_prompt(focus).unwrap(), system);
    assert_eq!(composer(scene).system_prompt(focus).unwrap(), system);
    let restored = composer(restored);
    assert_eq!(restored.system_prompt(focus).unwrap(), system);
    assert_eq!(restored.message(&ask(&none)).unwrap(), first.message(&ask(&none)).unwrap());
}

#[test]
fn one_composer_serves_many_threads() {
    let composer = composer(marker_asks_arangodb());
    let none = parameters(&[]);
    let text = composer.message(&ask(&none)).unwrap().text;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(composer.message(&ask(&none)).unwrap().text, text));
        }
    });
}

#[test]
fn prompt_of_a_megabyte_is_kept_whole_whatever_the_budget() {
    let prompt = "let x = a < b; // </question> and text\n".repeat(27_000);
    let none = parameters(&[]);
    let ask = Ask { prompt: &prompt, ..ask(&none) };
    let composer = composer(marker_asks_arangodb());
    assert_eq!(composer.scene().token_budget, 12_000, "it bounds what is added to the prompt");
    let message = composer.message(&ask).unwrap();
    assert_eq!(message.text.matches("let x = a < b").count(), 27_000);
    assert_eq!(message.text.matches("</question>").count(), 1);
    let system = composer.system_prompt(Focus { prompt: &prompt, capability: None }).unwrap();
    assert!(system.report.tokens <= 9_000);
}
