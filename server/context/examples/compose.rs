//! Composes prompts of the standard modules Marker and ArangoDB and prints how long it takes, or with `--print` what it
//! made: `cargo run --release -p claude-comms-context --example compose [-- --print]`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use claude_comms_context::{
    Ask, Composed, Composer, DEFAULT_TOKEN_BUDGET, Focus, Message, Overrides, Party, RelationshipLine, Scene,
    built_in_templates,
};
use claude_comms_descriptors::{TemplateFiles, digest, parse};

const MARKER: &str = include_str!("../../../descriptors/standard/marker.yaml");
const ARANGODB: &str = include_str!("../../../descriptors/standard/arangodb.yaml");
const QUESTION: &str =
    "How do I import the block tree of a converted PDF so that I can find all tables of one page?";
const ROUNDS: usize = 1_000;

fn main() {
    let scene = scene(DEFAULT_TOKEN_BUDGET);
    let composer = Composer::new(scene.clone()).expect("the standard modules make a scene");
    let (system, message) = prompts(&composer);
    if std::env::args().any(|argument| argument == "--print") {
        println!("{}\n=== message ===\n{}", system.text, message.text);
    }
    for section in system.report.sections.iter().chain(&message.report.sections) {
        println!("{:18} {:6} tokens {:7} bytes", section.name, section.tokens, section.bytes);
    }
    for omitted in &system.report.omitted {
        println!("left out: {} ({}, {} tokens)", omitted.what, omitted.why, omitted.tokens);
    }
    println!(
        "system prompt {} + message {} tokens of {}",
        system.report.tokens, message.report.tokens, system.report.token_budget
    );

    report("system prompt + message", || prompts(&composer));
    let whole = Composer::new(self::scene(60_000)).expect("the standard modules make a scene");
    report("the same, nothing left out", || prompts(&whole));
    report("the message alone", || message_of(&composer, system.report.tokens));
    report("Composer::new + both", || prompts(&Composer::new(scene.clone()).expect("it was made before")));
}

fn prompts(composer: &Composer) -> (Composed, Message) {
    let system =
        composer.system_prompt(Focus { prompt: QUESTION, capability: None }).expect("it fits the budget");
    let message = message_of(composer, system.report.tokens);
    (system, message)
}

fn message_of(composer: &Composer, fixed_tokens: u32) -> Message {
    let ask = Ask {
        template: None,
        first: true,
        prompt: QUESTION,
        parameters: &serde_json::Map::new(),
        capability: None,
        output: None,
        history: &[],
        fixed_tokens,
    };
    composer.message(&ask).expect("it fits the budget")
}

fn report<T>(what: &str, work: impl Fn() -> T) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |percent: usize| times[(ROUNDS * percent / 100).min(ROUNDS - 1)].as_secs_f64() * 1e3;
    println!("{what:28} p50 {:.3} ms, p99 {:.3} ms", at(50), at(99));
}

fn scene(token_budget: u32) -> Scene {
    Scene {
        source: Some(party(MARKER)),
        target: Some(party(ARANGODB)),
        relationships: vec![RelationshipLine {
            kind: "produces".to_owned(),
            source_says: "Stores what I extract.".to_owned(),
            target_says: String::new(),
        }],
        templates: built_in_templates(),
        overrides: Overrides::default(),
        token_budget,
    }
}

fn party(yaml: &str) -> Party {
    let descriptor = parse(yaml, TemplateFiles::Refused).expect("a standard descriptor is valid").descriptor;
    Party { digest: digest(&descriptor), descriptor, revision: 1, origin: "BUILT_IN".to_owned() }
}
