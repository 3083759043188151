//! The live test: the real Claude answers the questions of `questions.yaml`, with the context of two modules and without.
//! It is opt-in, costs its user's money, and is no part of the suite; the suite runs the same program against a stand-in.

mod asking;
mod grade;
mod options;
mod question;
mod table;

use std::process::ExitCode;

use asking::{Asked, with_context, without_context};
use claude_comms_tests::{Client, TestServer, tools};
use options::Options;
use question::Question;
use table::Row;

/// What one process of the CLI may spend, in US dollars; it answers one question.
const BUDGET_USD: &str = "0.05";
/// Tokens that one answer may have.
const OUTPUT_TOKENS: &str = "4096";
/// Of a hundred questions so many must be answered right with context.
const LEAST_PERCENT: usize = 90;

#[tokio::main]
async fn main() -> ExitCode {
    match live().await {
        Ok(code) => code,
        Err(why) => {
            eprintln!("live: {why}");
            ExitCode::from(2)
        }
    }
}

async fn live() -> Result<ExitCode, String> {
    let options = Options::read()?;
    let questions = chosen(&options, question::read(&options.questions)?)?;
    warn(&options, questions.len());
    let server = server(&options).await?;
    let client = Client::connect(server.unix(), None).await;
    let rows = ask(&options, &client, &questions).await;
    println!("\n{}", table::table(&rows));
    let [right, _] = table::right(&rows);
    let enough = rows.len() == questions.len() && 100 * right >= LEAST_PERCENT * rows.len();
    println!(
        "{} of {} questions asked, {right} right with context; {LEAST_PERCENT} % are wanted: {}",
        rows.len(),
        questions.len(),
        if enough { "passed" } else { "failed" }
    );
    Ok(if enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(options: &Options, all: Vec<Question>) -> Result<Vec<Question>, String> {
    if let Some(unknown) = options.only.iter().find(|only| all.iter().all(|question| question.id != **only)) {
        let ids: Vec<&str> = all.iter().map(|question| question.id.as_str()).collect();
        return Err(format!("there is no question {unknown}; there are {}", ids.join(", ")));
    }
    let wanted = |question: &Question| options.only.is_empty() || options.only.contains(&question.id);
    Ok(all.into_iter().filter(wanted).collect())
}

fn warn(options: &Options, questions: usize) {
    println!("THIS COSTS MONEY. {} pays for it.", options.payer());
    println!(
        "{} answers of {} are asked for, one after the other. No question, of two answers, is begun once {:.2} US dollars \
         are spent. One answer may cost {BUDGET_USD} and the one call that passes it, {OUTPUT_TOKENS} tokens of output at \
         most: with a model like haiku {:.2} US dollars in all at the very most.",
        2 * questions,
        options.model,
        options.max_cost,
        upper_bound(options.max_cost, questions),
    );
    if let Some(url) = options.environment.get("ANTHROPIC_BASE_URL") {
        println!("ANTHROPIC_BASE_URL is set: it is {url} that is asked.");
    }
    println!();
}

/// What can be spent at most, in US dollars: all answers at their own limit, or the limit of all and the question that
/// passed it.
fn upper_bound(max_cost: f64, questions: usize) -> f64 {
    // An answer's budget, and one call more: 20,000 tokens read and all output written, at 1 and 5 dollars a million.
    let question = 2.0 * (0.05 + 0.02 + 0.0205);
    (questions as f64 * question).min(max_cost + question)
}

async fn server(options: &Options) -> Result<TestServer, String> {
    let claude = tools::claude();
    let arguments = [
        "--claude-binary".to_owned(),
        claude.display().to_string(),
        "--module-dir".to_owned(),
        options.modules.display().to_string(),
    ];
    let configuration = serde_json::json!({
        "claude": {
            "model": options.model,
            "extra_args": ["--max-budget-usd", BUDGET_USD],
            "environment": {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": OUTPUT_TOKENS},
        },
        "pool": {"max_instances": 2, "idle_timeout": "5s"},
    });
    let mut builder = TestServer::backend("claude")
        .arguments(&arguments.each_ref().map(String::as_str))
        .configuration(configuration.to_string());
    for (name, value) in &options.environment {
        builder = builder.environment(name, value.as_str());
    }
    builder.try_start().await.map_err(|(ran, _)| format!("the server does not start:\n{}", ran.stderr))
}

/// Asks each question twice, until all are asked or the money is spent.
async fn ask(options: &Options, client: &Client, questions: &[Question]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for question in questions {
        if table::cost(&rows) >= options.max_cost {
            println!("{:.2} US dollars are spent: no more is asked.", options.max_cost);
            break;
        }
        // What was answered before is paid for and shown, whatever happens now.
        let with = match with_context(client, question).await {
            Ok(Asked { hopeless: Some(why), .. }) => {
                println!("No more is asked, it would go the same way: {why}");
                break;
            }
            Ok(with) => with,
            Err(status) => {
                println!("No more is asked, {} is refused: {}", question.id, status.message());
                break;
            }
        };
        let without = match without_context(client, question).await {
            Ok(without) => without,
            Err(status) => {
                println!("No more is asked, {} is refused: {}", question.id, status.message());
                break;
            }
        };
        println!("{:<28} with context: {:<6} without: {}", question.id, with.grade, without.grade);
        rows.push(Row { id: question.id.clone(), with, without });
    }
    rows
}
