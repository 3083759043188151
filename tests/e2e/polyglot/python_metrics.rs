//! Prometheus' own Python library reads /metrics: what is documented is there, what is there is documented, and the
//! values are those of GetStatistics.

use std::collections::{BTreeMap, BTreeSet};

use claude_comms_proto::v1::{Statistics, TurnState};
use claude_comms_tests::{Ran, TestServer, tools};
use serde_json::Value;

use crate::simulated::telemetry::session::{self, CANARY, statistics};

/// Where the server says that its metrics are.
fn metrics_of(server: &TestServer) -> String {
    let log = server.log();
    let line = log.lines().find(|line| line.contains("metrics are served")).expect("the log says where");
    let line: Value = serde_json::from_str(line).unwrap();
    line["endpoint"].as_str().unwrap().to_owned()
}

async fn scrape(server: &TestServer) -> Value {
    let mut command = server.world().command(&tools::python());
    command.arg(tools::repository().join("tests/polyglot/python/scrape_metrics.py"));
    command.arg(format!("{}/metrics", metrics_of(server))).env("PYTHONDONTWRITEBYTECODE", "1");
    Ran::to_end(command).await.expect(0).json()
}

/// The documented figures: name and kind.
fn documented() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(tools::repository().join("docs/metrics.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split("` | ");
        let (name, rest) = (cells.next()?, cells.next()?);
        let kind = rest.split(" | ").next()?;
        ["counter", "gauge", "histogram"].contains(&kind).then(|| (name.to_owned(), kind.to_owned()))
    });
    rows.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_has_every_documented_figure_and_agrees_with_get_statistics() {
    let server = session::server()
        // Budgets have figures where they are set.
        .configuration("telemetry: { metrics_listen: 'http://127.0.0.1:0' }\npool: { budget_usd: 100 }\n")
        .start()
        .await;
    session::run(&server).await;
    let figures = statistics(&server.client().await).await;
    let scraped = scrape(&server).await;
    assert_eq!(scraped["content_type"], "text/plain; version=0.0.4");
    assert!(!scraped.to_string().contains(CANARY), "{scraped}");

    let families: BTreeMap<String, String> = scraped["families"]
        .as_array()
        .unwrap()
        .iter()
        .map(|family| {
            let (name, kind) = (family["name"].as_str().unwrap(), family["kind"].as_str().unwrap());
            assert!(!family["help"].as_str().unwrap().is_empty(), "{family}");
            // The library takes a counter's ending for no part of its name.
            let ending = if kind == "counter" { "_total" } else { "" };
            (format!("{name}{ending}"), kind.to_owned())
        })
        .collect();
    assert_eq!(families, documented());

    let samples = scraped["samples"].as_array().unwrap();
    let value = |name: &str, labels: &[(&str, &str)]| {
        let fits = |sample: &&Value| {
            sample["name"] == name && labels.iter().all(|(label, value)| sample["labels"][*label] == *value)
        };
        let found: Vec<&Value> = samples.iter().filter(fits).collect();
        let [sample] = found.as_slice() else { panic!("one sample of {name} {labels:?}: {found:?}") };
        sample["value"].as_f64().unwrap()
    };
    let turns = figures.turns.clone().unwrap();
    assert_eq!(value("claude_comms_turns_accepted_total", &[]), turns.accepted as f64);
    for end in &turns.ended {
        let state = end.state().as_str_name().trim_start_matches("TURN_STATE_");
        let labels = [("state", state), ("reason", end.reason.as_str())];
        assert_eq!(value("claude_comms_turns_total", &labels), end.count as f64, "{end:?}");
    }
    let completed = TurnState::Completed.as_str_name().trim_start_matches("TURN_STATE_");
    let pair = [("source", "marker"), ("target", "counter"), ("state", completed)];
    assert_eq!(value("claude_comms_pair_turns_total", &pair), 1.0);
    let usage = turns.usage.unwrap();
    assert_eq!(value("claude_comms_tokens_total", &[("kind", "input")]), usage.input_tokens as f64);
    assert_eq!(value("claude_comms_tokens_total", &[("kind", "output")]), usage.output_tokens as f64);
    assert_eq!(value("claude_comms_cost_usd_total", &[]), turns.cost_usd);
    for (name, durations) in [
        ("claude_comms_turn_queue_seconds", turns.queue),
        ("claude_comms_turn_first_token_seconds", turns.first_token),
        ("claude_comms_turn_duration_seconds", turns.total),
        ("claude_comms_process_start_seconds", figures.processes.as_ref().unwrap().start),
    ] {
        let durations = durations.unwrap();
        assert_eq!(value(&format!("{name}_count"), &[]), durations.count as f64, "{name}");
        let sum = std::time::Duration::try_from(durations.sum.unwrap()).unwrap().as_secs_f64();
        assert!((value(&format!("{name}_sum"), &[]) - sum).abs() < 1e-6, "{name}");
        assert_eq!(value(&format!("{name}_bucket"), &[("le", "+Inf")]), durations.count as f64, "{name}");
    }
    // What an instance's watchers are told is written beside the turns, so that a commit may come between two readings.
    let after = statistics(&server.client().await).await;
    let commits = |figures: &Statistics| figures.store.as_ref().unwrap().commits as f64;
    let scraped_commits = value("claude_comms_store_commits_total", &[("outcome", "durable")]);
    assert!((commits(&figures)..=commits(&after)).contains(&scraped_commits), "{figures:?} {after:?}");
    let timed = value("claude_comms_store_commit_seconds_count", &[]);
    assert!((commits(&figures)..=commits(&after)).contains(&timed), "{figures:?} {after:?}");
    for refusal in &figures.refusals {
        let labels = [("code", refusal.code.as_str()), ("reason", refusal.reason.as_str())];
        assert_eq!(value("claude_comms_refusals_total", &labels), refusal.count as f64, "{refusal:?}");
    }
    assert_eq!(value("claude_comms_process_exits_total", &[("cause", "crashed")]), 1.0);
    assert_eq!(value("claude_comms_instances", &[("state", "IDLE")]), 2.0);
    assert!(value("process_resident_memory_bytes", &[]) > 1e6 && value("process_open_fds", &[]) > 3.0);
    assert!(
        value("process_start_time_seconds", &[]) > 1.7e9 && value("process_cpu_seconds_total", &[]) > 0.0
    );

    // Nothing divides a figure by what is without number: ids, prompts, paths.
    let labels: BTreeSet<&String> =
        samples.iter().flat_map(|sample| sample["labels"].as_object().unwrap().keys()).collect();
    let known = [
        "cause", "code", "kind", "le", "method", "name", "outcome", "reason", "scope", "source", "state",
        "target", "version",
    ];
    assert!(labels.iter().all(|label| known.contains(&label.as_str())), "{labels:?}");
}
