//! Whole runs of the program: right and wrong answers are told apart, counted, and reckoned.

use claude_comms_tests::{
    MessagesApi, Reply,
    messages_api::{Authentication, Request},
};

use super::stage::{questions, run};

/// Plays right answers to those who were given a context, wrong ones to the others.
fn knows_by_context(request: &Request) -> Vec<String> {
    let said = request.last_user_text();
    let question = questions().into_iter().find(|question| said.contains(first_words(&question.prompt)));
    let question = question.unwrap_or_else(|| panic!("not a question of the file: {said}"));
    vec![if has_context(request) { question.right } else { question.wrong }]
}

/// Enough to know a prompt by; escaping in messages leaves them as they are.
fn first_words(prompt: &str) -> &str {
    prompt.get(..40).unwrap_or(prompt)
}

fn has_context(request: &Request) -> bool {
    request.system_texts().iter().any(|text| text.contains("<protocol>"))
}

const ASKED: [&str; 4] = ["--only", "page-range", "--only", "traversal-depth"];

#[tokio::test(flavor = "multi_thread")]
async fn right_answers_with_context_pass_and_wrong_ones_without_are_named() {
    let api = MessagesApi::start().await;
    api.otherwise(Reply::compose(knows_by_context));
    let ran = run(&api, &ASKED).await.expect(0);
    let row = |id: &str| {
        let lines = ran.stdout.lines().filter(|line| line.starts_with(id) && !line.contains("context:"));
        let mut table = lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        table.next_back().unwrap_or_else(|| panic!("no row {id}: {ran:#?}"))
    };
    assert_eq!(row("page-range")[1..3], ["right", "wrong"], "{ran:#?}");
    assert_eq!(row("traversal-depth")[1..3], ["right", "wrong"], "{ran:#?}");
    let sums = row("right, of 2");
    assert_eq!(sums[..5], ["right,", "of", "2", "2", "0"], "{ran:#?}");
    assert!(sums[5].parse::<i64>().unwrap() > 0 && sums[7].parse::<i64>().unwrap() > 0, "{sums:?}");
    assert!(ran.stdout.contains("page-range, without context:\n  missing: "), "{ran:#?}");
    assert!(!ran.stdout.contains("page-range, with context:"), "{ran:#?}");
    assert!(ran.stdout.contains("2 right with context; 90 % are wanted: passed"), "{ran:#?}");
    // Half of the questions went with a context and half without, all with the given key.
    let requests = api.requests();
    assert_eq!(requests.iter().filter(|request| has_context(request)).count(), 2);
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| request.authentication == Authentication::ApiKey));
    // Both were asked for the same data.
    let schemas = requests.iter().filter(|request| request.last_user_text().contains("\"page_range\":{"));
    assert_eq!(schemas.count(), 2, "{:?}", requests.iter().map(Request::last_user_text).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_before_the_first_question_that_it_costs_money_and_how_much_at_most() {
    let api = MessagesApi::start().await;
    api.otherwise(Reply::compose(knows_by_context));
    let ran = run(&api, &["--only", "page-range", "--model", "sonnet"]).await.expect(0);
    let first = ran.stdout.lines().next().unwrap();
    assert_eq!(first, "THIS COSTS MONEY. ANTHROPIC_API_KEY pays for it.");
    assert!(ran.stdout.contains("2 answers of sonnet are asked for"), "{ran:#?}");
    assert!(ran.stdout.contains("at the very most"), "{ran:#?}");
    assert!(api.requests().iter().all(|request| request.model().contains("sonnet")), "{ran:#?}");
    assert!(api.requests().iter().all(|request| request.body["max_tokens"] == 4096), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_with_context_fail_the_run() {
    let api = MessagesApi::start().await;
    api.otherwise(Reply::text("I do not care."));
    let ran = run(&api, &ASKED).await.expect(1);
    assert!(ran.stdout.contains("INVALID_OUTPUT"), "data that does not come is named: {ran:#?}");
    assert!(ran.stdout.contains("traversal-depth, with context:\n  missing: "), "{ran:#?}");
    assert!(ran.stdout.contains("0 right with context; 90 % are wanted: failed"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_question_is_begun_once_the_money_is_spent() {
    let api = MessagesApi::start().await;
    api.otherwise(Reply::compose(knows_by_context));
    let ran = run(&api, &[&ASKED[..], &["--max-cost", "0.0000001"]].concat()).await.expect(1);
    assert!(ran.stdout.contains("no more is asked"), "{ran:#?}");
    assert!(ran.stdout.contains("1 of 2 questions asked"), "{ran:#?}");
    assert_eq!(api.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_ends_the_run_at_once() {
    let api = MessagesApi::start().await;
    api.otherwise(Reply::error(401));
    let ran = run(&api, &ASKED).await.expect(1);
    assert!(ran.stdout.contains("API_AUTHENTICATION"), "{ran:#?}");
    assert!(ran.stdout.contains("0 of 2 questions asked"), "{ran:#?}");
    assert_eq!(api.requests().len(), 1);
}
