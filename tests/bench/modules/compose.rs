//! Composing in this process: what the prompts of Marker asking ArangoDB take without a server around them.

use std::{hint::black_box, time::Instant};

use claude_comms_context::{
    Ask, Composer, DEFAULT_TOKEN_BUDGET, Focus, Overrides, Party, RelationshipLine, Scene, built_in_templates,
};
use claude_comms_descriptors::{digest, standard};

use crate::samples::Samples;

/// What is asked everywhere.
pub(super) const QUESTION: &str =
    "How do I import the block tree of a converted PDF so that I can find all tables of one page?";

/// Times of composing.
#[derive(Debug, Default)]
pub(super) struct Composed {
    /// System prompt and message, with the scene compiled.
    pub(super) warm: Samples,
    /// The message alone, as every later turn needs it.
    pub(super) message: Samples,
    /// The scene compiled too.
    pub(super) cold: Samples,
    /// The message around a prompt of one million bytes.
    pub(super) million: Samples,
}

/// Composes so many times each.
pub(super) fn measure(rounds: usize) -> Composed {
    let scene = scene();
    let composer = Composer::new(scene.clone()).expect("the standard modules make a scene");
    let million = "All work and no play makes a dull prompt. ".repeat(1_000_000 / 42);
    let mut all = Composed::default();
    let timed = |times: &mut Samples, work: &dyn Fn()| {
        let begin = Instant::now();
        work();
        times.push(begin.elapsed());
    };
    // One kind after the other: compiling between them would leave the caches cold for what is called warm.
    both(&composer);
    for _ in 0..rounds {
        timed(&mut all.warm, &|| both(&composer));
    }
    for _ in 0..rounds {
        timed(&mut all.message, &|| message(&composer, QUESTION));
    }
    for _ in 0..rounds {
        timed(&mut all.cold, &|| both(&Composer::new(scene.clone()).expect("it was made before")));
    }
    for _ in 0..rounds.div_ceil(20) {
        timed(&mut all.million, &|| message(&composer, &million));
    }
    all
}

fn both(composer: &Composer) {
    let focus = Focus { prompt: QUESTION, capability: None };
    black_box(composer.system_prompt(focus).expect("it fits the budget"));
    message(composer, QUESTION);
}

fn message(composer: &Composer, prompt: &str) {
    let ask = Ask {
        template: None,
        first: true,
        prompt,
        parameters: &serde_json::Map::new(),
        capability: None,
        output: None,
        history: &[],
        fixed_tokens: DEFAULT_TOKEN_BUDGET / 2,
    };
    black_box(composer.message(&ask).expect("it fits the budget"));
}

fn scene() -> Scene {
    let party = |name: &str| {
        let descriptor = standard().iter().find(|module| module.name == name).expect("it is built in");
        Party {
            digest: digest(descriptor),
            descriptor: descriptor.clone(),
            revision: 1,
            origin: "BUILT_IN".to_owned(),
        }
    };
    Scene {
        source: Some(party("marker")),
        target: Some(party("arangodb")),
        relationships: vec![RelationshipLine {
            kind: "produces".to_owned(),
            source_says: "Makes the chunks that ArangoDB stores.".to_owned(),
            target_says: "Stores the chunks that Marker extracts.".to_owned(),
        }],
        templates: built_in_templates(),
        overrides: Overrides::default(),
        token_budget: DEFAULT_TOKEN_BUDGET,
    }
}
