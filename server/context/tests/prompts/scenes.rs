//! The scenes that the tests compose prompts of.

use claude_comms_context::templates::{Layer, TemplateRecord};
use claude_comms_context::{
    Ask, Composed, Composer, Focus, Message, Overrides, Party, PastTurn, RelationshipLine, Scene,
    built_in_templates,
};
use claude_comms_descriptors::{Descriptor, TemplateFiles, digest, parse};
use serde_json::{Map, Value};

pub(crate) const QUESTION: &str =
    "How do I import my blocks, and which reference becomes what?\nThey come as `a < b` pairs.";

pub(crate) fn descriptor(name: &str) -> Descriptor {
    let text = match name {
        "marker" => include_str!("fixtures/marker.yaml"),
        "arangodb" => include_str!("fixtures/arangodb.yaml"),
        "kettle" => include_str!("fixtures/kettle.yaml"),
        "teapot" => include_str!("fixtures/teapot.yaml"),
        _ => panic!("no fixture is called {name}"),
    };
    parse(text, TemplateFiles::Refused).unwrap_or_else(|problems| panic!("{name}: {problems:?}")).descriptor
}

pub(crate) fn party(descriptor: Descriptor) -> Party {
    Party { digest: digest(&descriptor), descriptor, revision: 1, origin: "REGISTERED".to_owned() }
}

pub(crate) fn scene(source: Option<Descriptor>, target: Option<Descriptor>) -> Scene {
    Scene {
        source: source.map(party),
        target: target.map(party),
        relationships: Vec::new(),
        templates: built_in_templates(),
        overrides: Overrides::default(),
        token_budget: 12_000,
    }
}

pub(crate) fn marker_asks_arangodb() -> Scene {
    let mut scene = scene(Some(descriptor("marker")), Some(descriptor("arangodb")));
    scene.relationships.push(RelationshipLine {
        kind: "produces".to_owned(),
        source_says: "ArangoDB keeps the documents that I extract.".to_owned(),
        target_says: "Marker's block trees are imported as documents.".to_owned(),
    });
    scene
}

pub(crate) fn teapot_asks_kettle() -> Scene {
    let mut scene = scene(Some(descriptor("teapot")), Some(descriptor("kettle")));
    scene.relationships.push(RelationshipLine {
        kind: "depends_on".to_owned(),
        source_says: String::new(),
        target_says: String::new(),
    });
    scene
}

pub(crate) fn person_asks_arangodb() -> Scene {
    scene(None, Some(descriptor("arangodb")))
}

pub(crate) fn template(layer: Layer, name: &str, text: &str) -> TemplateRecord {
    TemplateRecord { layer, name: name.to_owned(), text: text.to_owned() }
}

pub(crate) fn parameters(pairs: &[(&str, Value)]) -> Map<String, Value> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

pub(crate) fn turns(count: usize) -> Vec<PastTurn> {
    let turn = |number: usize| PastTurn {
        prompt: format!("Question {number}: which index?"),
        answer: if number == 2 {
            String::new()
        } else {
            format!("Answer {number}: a persistent one on `kind`.")
        },
        state: if number == 2 { "FAILED" } else { "COMPLETED" }.to_owned(),
    };
    (1..=count).map(turn).collect()
}

/// A turn that asks `QUESTION` and nothing else.
pub(crate) fn ask(parameters: &Map<String, Value>) -> Ask<'_> {
    Ask {
        template: None,
        first: true,
        prompt: QUESTION,
        parameters,
        capability: None,
        output: None,
        history: &[],
        fixed_tokens: 0,
    }
}

pub(crate) fn composer(scene: Scene) -> Composer {
    Composer::new(scene).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn system(scene: Scene) -> Composed {
    composer(scene)
        .system_prompt(Focus { prompt: QUESTION, capability: None })
        .unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn message(scene: Scene, ask: &Ask<'_>) -> Message {
    composer(scene).message(ask).unwrap_or_else(|error| panic!("{error}"))
}
