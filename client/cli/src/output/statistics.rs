//! The figures of a server, for people.

use std::{collections::BTreeMap, time::SystemTime};

use claude_comms_client::v1;

use super::{
    Details, View,
    human::{ago, cost, duration, state, time, tokens},
};

impl View for v1::Statistics {
    fn details(&self) -> Details {
        let now = SystemTime::now();
        let since = self.start_time.as_ref();
        let mut details = Details::default()
            .fact("since", format!("{} ({})", time(since), ago(since, now)))
            .fact("queued now", self.queued_turns.to_string())
            .fact("running now", self.running_turns.to_string())
            .fact(
                "instances now",
                counted(self.instances.iter().map(|i| (state(i.state().as_str_name()), i.count))),
            )
            .fact("watchers now", counted(self.watchers.iter().map(|w| (w.kind.as_str(), w.count))));
        if let Some(turns) = &self.turns {
            let mut states = BTreeMap::<&str, u64>::new();
            for end in &turns.ended {
                *states.entry(state(end.state().as_str_name())).or_default() += end.count;
            }
            let reasons = turns.ended.iter().filter(|end| !end.reason.is_empty());
            let pairs: String = turns.pairs.iter().map(pair).collect();
            details = details
                .fact("turns accepted", turns.accepted.to_string())
                .fact("turns ended", counted(states))
                .fact("not completed", counted(reasons.map(|end| (end.reason.as_str(), end.count))))
                .fact("in the queue", spread(turns.queue.as_ref()))
                .fact("to the first text", spread(turns.first_token.as_ref()))
                .fact("to the end", spread(turns.total.as_ref()))
                .fact("tokens", tokens(turns.usage.as_ref()))
                .fact("cost", cost(turns.cost_usd))
                .fact(
                    "tried again",
                    counted([
                        ("process", turns.process_retries),
                        ("api", turns.api_retries),
                        ("data", turns.repairs),
                    ]),
                )
                .block("turns by modules", &pairs);
        }
        if let Some(processes) = &self.processes {
            let starts = [
                ("started", processes.started),
                ("failed", processes.failed),
                ("abandoned", processes.abandoned),
            ];
            details = details
                .fact("processes", counted(starts))
                .fact("to be ready", spread(processes.start.as_ref()))
                .fact("exits", counted(processes.exits.iter().map(|exit| (exit.cause.as_str(), exit.count))));
        }
        if let Some(store) = &self.store {
            let commits = [("durable", store.commits), ("failed", store.failed_commits)];
            details = details
                .fact("commits", counted(commits))
                .fact("of operations", store.operations.to_string())
                .fact("to be durable", spread(store.commit.as_ref()));
        }
        let refused = self.refusals.iter().map(|refusal| {
            (
                if refusal.reason.is_empty() { refusal.code.as_str() } else { refusal.reason.as_str() },
                refusal.count,
            )
        });
        let sent_away = self.access_refusals.iter().map(|refusal| (refusal.reason.as_str(), refusal.count));
        details.fact("refused calls", counted(refused)).fact("sent away", counted(sent_away))
    }
}

/// `3 started, 1 failed`; what did not occur is left out, and `-` stands for nothing at all.
fn counted<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> String {
    let parts: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

fn pair(pair: &v1::ModulePairCount) -> String {
    let side = |name: &str, nobody: &str| if name.is_empty() { nobody.to_owned() } else { name.to_owned() };
    format!(
        "{} -> {}: {} {}\n",
        side(&pair.source_module, "you"),
        side(&pair.target_module, "Claude"),
        pair.count,
        state(pair.state().as_str_name())
    )
}

/// The middle and the slow end of a distribution.
fn spread(durations: Option<&v1::DurationStatistics>) -> String {
    let Some(durations) = durations.filter(|durations| durations.count > 0) else { return "-".to_owned() };
    let shown = |span: Option<prost_types::Duration>| {
        span.and_then(|span| std::time::Duration::try_from(span).ok()).map(precise).unwrap_or_default()
    };
    format!(
        "half within {}, 95 % within {}, 99 % within {}",
        shown(durations.p50),
        shown(durations.p95),
        shown(durations.p99)
    )
}

/// A short span with a digit behind the point: half a millisecond is not nothing here.
fn precise(span: std::time::Duration) -> String {
    if span.as_millis() < 10 { format!("{:.1} ms", span.as_secs_f64() * 1000.0) } else { duration(span) }
}
