//! Which facts of a resource people see, and in which order.

use std::time::SystemTime;

use claude_comms_client::v1;

use super::{
    Column, Details, Table,
    human::{ago, bytes, cost, duration, short_id, span, state, time, tokens},
    indented,
    module_views::between,
};

/// A resource that people can read.
pub(crate) trait View {
    /// Its facts.
    fn details(&self) -> Details;
}

impl View for v1::Instance {
    fn details(&self) -> Details {
        let mut details = Details::default()
            .fact("id", &self.id)
            .fact("name", &self.name)
            .state("state", state(self.state().as_str_name()))
            .fact("pause", if self.pause_pending { "once its turn has ended" } else { "" })
            .fact("backend", &self.backend)
            .fact("model", &self.model)
            .fact("conversation", if self.spare { "none yet: a spare" } else { &self.conversation_id })
            .fact("process", count(self.process_id))
            .fact("generation", count(self.process_generation))
            .fact("pinned", if self.pinned { "yes" } else { "no" })
            .fact("turns", self.turn_count.to_string())
            .fact("tokens", tokens(self.usage.as_ref()))
            .fact("cost", cost(self.cost_usd))
            .fact("memory", memory(self.memory_bytes));
        if let Some(health) = &self.health {
            details = of_health(details, health);
        }
        details = details
            .fact("created", time(self.create_time.as_ref()))
            .fact("last active", time(self.last_active_time.as_ref()));
        if let Some(exit) = &self.exit {
            details = details
                .fact(
                    "last exit",
                    format!("{} (code {}) {}", exit.reason, exit.code, time(exit.time.as_ref())),
                )
                .block("standard error", &exit.stderr);
        }
        details
    }
}

fn of_health(details: Details, health: &v1::InstanceHealth) -> Details {
    let response = health.response_time.and_then(|time| std::time::Duration::try_from(time).ok());
    let checked = ago(health.checked_time.as_ref(), SystemTime::now());
    let answered = response.map(|time| format!(", answered in {}", duration(time))).unwrap_or_default();
    let processes = match health.processes {
        0 => String::new(),
        1 => format!("1, {}", health.process_state),
        more => format!("{more}, the CLI's is {}", health.process_state),
    };
    details
        .state("health", state(health.status().as_str_name()))
        .fact("health reason", &health.reason)
        .fact("checked", format!("{checked}{answered}"))
        .fact("processes", processes)
        .fact("memory of its own", memory(health.pss_bytes))
}

impl View for v1::Conversation {
    fn details(&self) -> Details {
        let mut labels: Vec<_> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        labels.sort();
        Details::default()
            .fact("id", &self.id)
            .fact("title", &self.title)
            .state("state", state(self.state().as_str_name()))
            .fact(
                "modules",
                between(
                    (&self.source_module, &self.source_version),
                    (&self.target_module, &self.target_version),
                ),
            )
            .fact("context made anew", times(self.context_revision))
            .fact("model", &self.model)
            .fact("labels", labels.join(" "))
            .fact("turns", self.turn_count.to_string())
            .fact("tokens", tokens(self.usage.as_ref()))
            .fact("cost", cost(self.cost_usd))
            .fact("created", time(self.create_time.as_ref()))
            .fact("updated", time(self.update_time.as_ref()))
            .block("system prompt", &self.system_prompt)
    }
}

impl View for v1::Turn {
    fn details(&self) -> Details {
        let (create, start, end) =
            (self.create_time.as_ref(), self.start_time.as_ref(), self.end_time.as_ref());
        let text = |span: Option<std::time::Duration>| {
            // A wait below a millisecond was none.
            span.filter(|span| span.as_millis() > 0).map(duration).unwrap_or_default()
        };
        let mut details = Details::default()
            .fact("id", &self.id)
            .fact("conversation", &self.conversation_id)
            .state("state", state(self.state().as_str_name()));
        if let Some(failure) = &self.failure {
            details = details.fact("reason", &failure.reason).fact("message", &failure.message);
        }
        details
            .fact("template", &self.template)
            .fact("capability", &self.capability)
            .fact("instance", &self.instance_id)
            .fact("attempt", count(self.attempt))
            .fact("in context", if self.in_context { "yes" } else { "no" })
            .fact("tokens", tokens(self.usage.as_ref()))
            .fact("cost", cost(self.cost_usd))
            .fact("request", &self.request_id)
            .fact("created", time(create))
            .fact("queued for", text(span(create, start)))
            .fact("first token", text(span(start, self.first_token_time.as_ref())))
            .fact("took", text(span(create, end)))
            .fact("cut here", self.truncated_fields.join(" "))
            .block("prompt", &self.prompt)
            .block("text", &self.text)
            .block("data", &head(&indented(&self.data_json)))
            .block("partial text", &self.partial_text)
    }
}

/// `3 of 27 (half of the machine's 16.0 GiB, ...)`.
fn instances_of(info: &v1::ServerInfo) -> String {
    let why = match info.max_instances_reason.as_str() {
        "" | "pool.max_instances" => String::new(),
        reason => format!(" ({reason})"),
    };
    format!("{} of {}{why}", info.instances, info.max_instances)
}

impl View for v1::ServerInfo {
    fn details(&self) -> Details {
        let now = SystemTime::now();
        Details::default()
            .state("server", if self.draining { "draining" } else { "serving" })
            .fact("version", &self.version)
            .fact("backend", format!("{} {}", self.backend, self.backend_version))
            .fact("endpoints", self.endpoints.join(" "))
            .fact(
                "started",
                format!("{} ({})", time(self.start_time.as_ref()), ago(self.start_time.as_ref(), now)),
            )
            .fact("process", format!("{}, {}", self.process_id, bytes(self.memory_bytes)))
            .fact("instances", instances_of(self))
            .fact("running turns", self.running_turns.to_string())
            .fact("queued turns", format!("{} of {}", self.queued_turns, self.max_queue))
            .fact("conversations", self.conversations.to_string())
            .fact("turns", self.turns.to_string())
            .fact("modules", self.modules.to_string())
            .fact("prompt limit", bytes(self.prompt_limit_bytes))
            .fact(
                "turn time-out",
                self.turn_timeout
                    .and_then(|d| std::time::Duration::try_from(d).ok())
                    .map(duration)
                    .unwrap_or_default(),
            )
            .fact("backend state", self.backend_condition.as_ref().map(condition).unwrap_or_default())
            .fact("account limit", self.account_limit.as_ref().map(limit).unwrap_or_default())
            .block("budgets today", &self.budgets.iter().map(budget).collect::<String>())
            .fact("server id", format!("{}, start {}", self.server_id, self.incarnation))
            .fact("store schema", self.store_schema_version.to_string())
            .block("broken files", &self.broken_files.iter().map(broken).collect::<String>())
    }
}

/// Why processes are held back; empty when all is well.
fn condition(condition: &v1::BackendCondition) -> String {
    let lost = format!("{} processes lost in a row; the last: {}", condition.failures, condition.reason);
    match condition.state() {
        v1::BackendState::Open => {
            format!("FAILING, none is started until {}: {lost}", time(condition.retry_time.as_ref()))
        }
        v1::BackendState::BackingOff => format!("backing off: {lost}"),
        v1::BackendState::Available | v1::BackendState::Unspecified => String::new(),
    }
}

/// A limit that is reached, or near.
fn limit(limit: &v1::AccountLimit) -> String {
    if limit.status == "allowed" {
        return String::new();
    }
    let kind = if limit.kind.is_empty() { String::new() } else { format!(" ({})", limit.kind) };
    let overage = if limit.using_overage { "; going on beyond it, at a price" } else { "" };
    format!("{}{kind} until {}{overage}", limit.status, time(limit.reset_time.as_ref()))
}

/// A day's budget as a line.
fn budget(budget: &v1::Budget) -> String {
    let whose = if budget.name.is_empty() { "whole server" } else { &budget.name };
    let held = if budget.reserved_usd > 0.0 {
        format!(", ${:.4} held for running turns", budget.reserved_usd)
    } else {
        String::new()
    };
    format!("{whose}: ${:.4} of ${} spent{held}\n", budget.spent_usd, budget.limit_usd)
}

/// The table of instances.
pub(crate) fn instances(instances: &[v1::Instance]) -> Table {
    let now = SystemTime::now();
    let mut table = Table::new(&[
        Column::new("ID"),
        Column::new("NAME").flexible().droppable(1),
        Column::new("STATE").painted(),
        Column::new("HEALTH").painted().droppable(2),
        Column::new("BACKEND").droppable(6),
        Column::new("CONVERSATION").droppable(5),
        Column::new("TURNS").right().droppable(4),
        Column::new("MEMORY").right().droppable(7),
        Column::new("COST").right().droppable(8),
        Column::new("LAST ACTIVE").droppable(3),
    ]);
    for instance in instances {
        table.row([
            short_id(&instance.id).into(),
            or_dash(&instance.name),
            state(instance.state().as_str_name()).into(),
            or_dash(instance.health.as_ref().map_or("", |health| state(health.status().as_str_name()))),
            instance.backend.clone(),
            if instance.spare { "(spare)".to_owned() } else { or_dash(short_id(&instance.conversation_id)) },
            instance.turn_count.to_string(),
            or_dash(&memory(instance.memory_bytes)),
            cost(instance.cost_usd),
            ago(instance.last_active_time.as_ref(), now),
        ]);
    }
    table
}

/// The table of conversations.
pub(crate) fn conversations(conversations: &[v1::Conversation]) -> Table {
    let now = SystemTime::now();
    let mut table = Table::new(&[
        Column::new("ID"),
        Column::new("STATE").painted().droppable(4),
        Column::new("TURNS").right().droppable(2),
        Column::new("TOKENS").right().droppable(6),
        Column::new("COST").right().droppable(5),
        Column::new("UPDATED").droppable(3),
        Column::new("FROM → TO").flexible_from(24).droppable(1),
        Column::new("TITLE").flexible(),
    ]);
    for conversation in conversations {
        table.row([
            short_id(&conversation.id).into(),
            state(conversation.state().as_str_name()).into(),
            conversation.turn_count.to_string(),
            tokens(conversation.usage.as_ref()),
            cost(conversation.cost_usd),
            ago(conversation.update_time.as_ref(), now),
            or_dash(&between((&conversation.source_module, ""), (&conversation.target_module, ""))),
            or_dash(&conversation.title),
        ]);
    }
    table
}

/// The table of turns.
pub(crate) fn turns(turns: &[v1::Turn]) -> Table {
    let now = SystemTime::now();
    let mut table = Table::new(&[
        Column::new("ID"),
        Column::new("CONVERSATION").droppable(4),
        Column::new("STATE").painted(),
        Column::new("CREATED").droppable(2),
        Column::new("TOOK").right().droppable(3),
        Column::new("TOKENS").right().droppable(6),
        Column::new("COST").right().droppable(5),
        Column::new("PROMPT").flexible().droppable(1),
    ]);
    for turn in turns {
        let took = span(turn.create_time.as_ref(), turn.end_time.as_ref());
        table.row([
            short_id(&turn.id).into(),
            short_id(&turn.conversation_id).into(),
            state(turn.state().as_str_name()).into(),
            ago(turn.create_time.as_ref(), now),
            took.map_or_else(|| "-".into(), duration),
            tokens(turn.usage.as_ref()),
            cost(turn.cost_usd),
            turn.prompt.clone(),
        ]);
    }
    table
}

/// Lines of data that are shown of a turn.
const DATA_LINES: usize = 40;

/// The first lines of data, and how to see the others.
fn head(text: &str) -> String {
    let lines = text.lines().count();
    if lines <= DATA_LINES {
        return text.to_owned();
    }
    let head: Vec<_> = text.lines().take(DATA_LINES).collect();
    format!("{}\n… ({} more lines; --output json has them all)", head.join("\n"), lines - DATA_LINES)
}

fn broken(file: &v1::BrokenFile) -> String {
    let kept = if file.kept { " (its last good version is in use)" } else { "" };
    // The path stands above them.
    let place = |line: &str| match line.strip_prefix(&file.path).and_then(|rest| rest.strip_prefix(':')) {
        Some(rest) => format!("\n  {}", rest.trim_start()),
        None => format!("\n  {line}"),
    };
    let problems = file.problems.lines().map(place).collect::<String>();
    format!("{}{kept}{problems}\n", file.path)
}

fn times(number: u32) -> String {
    match number {
        0 => String::new(),
        1 => "once".into(),
        n => format!("{n} times"),
    }
}

pub(super) fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.into() }
}

fn count(number: u32) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

fn memory(amount: u64) -> String {
    if amount == 0 { String::new() } else { bytes(amount) }
}

#[cfg(test)]
mod tests {
    use super::{super::Paint, *};

    #[test]
    fn a_failed_turn_says_why() {
        let time = |seconds: i64| Some(prost_types::Timestamp { seconds: 1_795_348_800 + seconds, nanos: 0 });
        let turn = v1::Turn {
            id: "019ab000-0000-7000-8000-00000000abcd".into(),
            conversation_id: "019ab000-0000-7000-8000-0000000000c0".into(),
            state: v1::TurnState::Failed.into(),
            prompt: "Why?\nAnd how?".into(),
            failure: Some(v1::TurnFailure {
                reason: "API_OVERLOADED".into(),
                message: "529 overloaded".into(),
            }),
            partial_text: "Because".into(),
            attempt: 1,
            in_context: true,
            create_time: time(0),
            start_time: time(2),
            end_time: time(9),
            ..Default::default()
        };
        insta::assert_snapshot!(turn.details().render(Paint::Plain));
    }

    #[test]
    fn a_broken_file_is_named_once_and_says_where() {
        let file = v1::BrokenFile {
            path: "/m/x.yaml".into(),
            problems: "/m/x.yaml:3:1: name: missing\nnot read".into(),
            kept: true,
        };
        assert_eq!(
            broken(&file),
            "/m/x.yaml (its last good version is in use)\n  3:1: name: missing\n  not read\n"
        );
    }

    #[test]
    fn empty_lists_still_have_their_header() {
        for table in [instances(&[]), conversations(&[]), turns(&[])] {
            assert_eq!(table.render(Paint::Plain, None).lines().count(), 1);
        }
    }
}
