//! It does not begin without a key, or in CI.

use claude_comms_tests::{Ran, world::World};

use super::stage::live;

#[tokio::test]
async fn without_a_key_it_says_what_to_set_and_asks_nobody() {
    let world = World::new();
    let ran = Ran::to_end(live(&world, &[])).await.expect(2);
    assert!(ran.stderr.contains("neither ANTHROPIC_API_KEY nor CLAUDE_CODE_OAUTH_TOKEN is set"), "{ran:#?}");
    assert_eq!(ran.stdout, "");
}

#[tokio::test]
async fn in_ci_it_never_runs() {
    let world = World::new();
    let mut command = live(&world, &[]);
    command.env("CI", "true").env("ANTHROPIC_API_KEY", "sk-ant-made-up");
    let ran = Ran::to_end(command).await.expect(2);
    assert!(ran.stderr.contains("never runs there"), "{ran:#?}");
    assert!(!ran.stderr.contains("made-up"), "{ran:#?}");
}

#[tokio::test]
async fn a_question_that_is_not_there_is_named_with_those_that_are() {
    let world = World::new();
    let mut command = live(&world, &["--only", "page-rnage"]);
    command.env("ANTHROPIC_API_KEY", "sk-ant-made-up");
    let ran = Ran::to_end(command).await.expect(2);
    assert!(ran.stderr.contains("no question page-rnage") && ran.stderr.contains("page-range"), "{ran:#?}");
}
