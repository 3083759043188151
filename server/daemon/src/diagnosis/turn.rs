//! One real turn, asked for by name because it costs: the whole way to the model and back.

use std::time::{Duration, Instant};

use claude_comms_stream_json::turn::{FailureReason, Outcome, TurnEnd, TurnUpdate};
use uuid::Uuid;

use super::{
    cli::{Trial, ms, not_started},
    run::Subject,
    verdict::Found,
};

/// How long the answer may take.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(120);
const PROMPT: &str = "Answer with the one word OK.";

pub(super) async fn check(subject: &Subject, model: Option<String>) -> Found {
    let trial = match Trial::start(subject, model).await {
        Ok(trial) => trial,
        Err(error) => return not_started(&error),
    };
    let begun = Instant::now();
    let ended = tokio::time::timeout(ANSWER_LIMIT, ask(&trial)).await;
    let took = begun.elapsed();
    trial.end().await;
    match ended {
        Ok(Some(end)) => judge(&end, took),
        Ok(None) => Found::problem(
            "the process ended before it answered",
            "see what the CLI says by hand: claude -p hello",
        ),
        Err(_) => Found::problem(
            format!("no answer within {} s", ANSWER_LIMIT.as_secs()),
            "see whether the API can be reached from here (network, proxy, ANTHROPIC_BASE_URL)",
        ),
    }
}

/// `None` when the process ended first.
async fn ask(trial: &Trial<'_>) -> Option<TurnEnd> {
    let mut updates = trial.process.send(Uuid::new_v4(), PROMPT.to_owned()).await.ok()?;
    while let Some(batch) = updates.next().await {
        if let Some(TurnUpdate::End(end)) = batch.into_iter().next_back() {
            return Some(*end);
        }
    }
    None
}

fn judge(end: &TurnEnd, took: Duration) -> Found {
    let usage = end.usage;
    let input = usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens;
    let cost = format!(
        "it took {} and cost {input} input and {} output tokens, ${:.6}",
        ms(took),
        usage.output_tokens,
        end.cost_usd
    );
    let found = match &end.outcome {
        Outcome::Answer { .. } => Found::ok(format!("a turn was answered; {cost}")),
        Outcome::Failed { reason, http_status, message } => {
            let status = http_status.map(|status| format!(" (HTTP {status})")).unwrap_or_default();
            Found::problem(format!("a turn failed{status}: {message}; {cost}"), remedy(*reason))
        }
        Outcome::Aborted => Found::problem(format!("a turn was broken off; {cost}"), "try again"),
    };
    found
        .with("input_tokens", input)
        .with("output_tokens", usage.output_tokens)
        .with("cost_usd", end.cost_usd)
        .with("turn_ms", took.as_millis())
}

fn remedy(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::NotLoggedIn => {
            "set ANTHROPIC_API_KEY, or CLAUDE_CODE_OAUTH_TOKEN with a token of `claude setup-token`, and restart the server"
        }
        FailureReason::ApiAuthentication => {
            "the key or token is refused: make a new one, set it, and restart the server"
        }
        FailureReason::ApiPermission => {
            "the key or token may not use this model: see the rights of its account"
        }
        FailureReason::ModelNotFound => "there is no such model: see claude.model, or name one with --model",
        FailureReason::RateLimited | FailureReason::ApiOverloaded => {
            "the API asks for patience: try again later, or raise the account's limits"
        }
        FailureReason::ApiUnreachable | FailureReason::ApiTimeout => {
            "see whether the API can be reached from here: network, proxy variables, ANTHROPIC_BASE_URL, certificates"
        }
        FailureReason::BudgetExceeded | FailureReason::MaxTurns => {
            "see the limits in claude.extra_args (--max-budget-usd, --max-turns)"
        }
        _ => "see the message; try again, and see https://status.anthropic.com",
    }
}

#[cfg(test)]
mod tests {
    use claude_comms_stream_json::turn::Usage;

    use super::*;
    use crate::diagnosis::Verdict;

    fn end(outcome: Outcome) -> TurnEnd {
        TurnEnd {
            outcome,
            usage: Usage { input_tokens: 20, output_tokens: 3, ..Usage::default() },
            cost_usd: 0.000_1,
            session_id: String::new(),
            last_assistant_uuid: None,
            num_turns: 1,
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn a_turn_says_what_it_cost_and_a_failed_one_what_to_do() {
        let took = Duration::from_millis(1200);
        let found = judge(&end(Outcome::Answer { text: "OK".into() }), took);
        assert_eq!(found.verdict, Verdict::Ok);
        assert!(found.message.contains("20 input and 3 output tokens, $0.000100"), "{found:?}");
        for (reason, words) in [
            (FailureReason::NotLoggedIn, "claude setup-token"),
            (FailureReason::ApiAuthentication, "refused"),
            (FailureReason::ModelNotFound, "--model"),
            (FailureReason::RateLimited, "patience"),
            (FailureReason::ApiUnreachable, "network"),
            (FailureReason::ApiServerError, "try again"),
        ] {
            let outcome = Outcome::Failed { reason, http_status: Some(401), message: "said".into() };
            let found = judge(&end(outcome), took);
            assert!(found.verdict == Verdict::Problem && found.remedy.contains(words), "{found:?}");
            assert!(found.message.contains("HTTP 401") && found.message.contains("said"), "{found:?}");
        }
    }
}
