//! Bad input of a turn: every field is named, with what is wrong.

use claude_comms_context::templates::Layer;
use claude_comms_context::{Ask, ComposeError, Composer, Focus, Scene};
use serde_json::json;

use crate::scenes::{ask, composer, marker_asks_arangodb, parameters, scene, teapot_asks_kettle, template};

fn problems(error: ComposeError) -> String {
    match error {
        ComposeError::Fields(fields) => {
            fields.into_iter().map(|(field, problem)| format!("{field}: {problem}\n")).collect()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_bad_field_of_a_turn_is_named_at_once() {
    let given = parameters(&[("requst", json!("x"))]);
    let ask = Ask { template: Some("response"), prompt: " ", capability: Some("run_agl"), ..ask(&given) };
    let found = problems(composer(marker_asks_arangodb()).message(&ask).unwrap_err());
    insta::assert_snapshot!(found);
}

#[test]
fn unknown_template_names_near_ones() {
    let none = parameters(&[]);
    let ask = Ask { template: Some("folow_up"), ..ask(&none) };
    let found = problems(composer(marker_asks_arangodb()).message(&ask).unwrap_err());
    assert!(found.starts_with("template: ") && found.contains("follow_up"), "{found}");
}

#[test]
fn capability_without_a_target_is_refused() {
    let composer = composer(scene(None, None));
    let error = composer.system_prompt(Focus { prompt: "x", capability: Some("boil") }).unwrap_err();
    assert_eq!(problems(error), "capability: no module is asked, so none has a capability \"boil\"\n");
}

#[test]
fn template_that_does_not_render_names_its_line() {
    let mut scene = teapot_asks_kettle();
    scene.templates.push(template(Layer::Module, "odd", "One\n{{ nothing_like_it }}\n"));
    let none = parameters(&[]);
    let error = composer(scene).message(&Ask { template: Some("odd"), ..ask(&none) }).unwrap_err();
    assert!(matches!(&error, ComposeError::Template { line: Some(2), .. }), "{error}");
}

#[test]
fn template_that_does_not_compile_makes_no_composer() {
    let mut scene = teapot_asks_kettle();
    scene.templates.push(template(Layer::Module, "odd", "One\n{% if %}\n"));
    let error = Composer::new(scene).unwrap_err();
    assert!(error.to_string().contains("odd"), "{error}");
}

#[test]
fn scene_is_the_same_after_its_way_through_the_store() {
    let scene = marker_asks_arangodb();
    let json = scene.to_json();
    assert_eq!(Scene::from_json(&json).unwrap(), scene);
    assert_eq!(Scene::from_json(&json).unwrap().to_json(), json);
    assert_eq!(Scene::digest("{}"), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    assert!(Scene::from_json("{\"templates\":1}").is_err());
}
