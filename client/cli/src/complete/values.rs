//! The candidates of each kind of value, with a word on each. Knows the contract's messages, not the shells.

use std::ffi::OsStr;

use clap_complete::engine::CompletionCandidate;
use claude_comms_client::v1;

use super::ask::ask;
use crate::output::{one_line, short_id, state};

/// What a list of candidates holds at most; more typing brings up the rest.
const MOST: i32 = 100;
/// Letters of a short ID: what is shorter is in the middle of an ID, where the server does not look.
const SHORTEST: usize = 8;
/// Letters of a word on a candidate.
const ABOUT: usize = 60;

type Candidates = Vec<CompletionCandidate>;

/// Instances that are not stopped: their names, else their short IDs.
pub(crate) fn instances(typed: &OsStr) -> Candidates {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let request = v1::ListInstancesRequest { page_size: MOST, ..Default::default() };
    let found = ask(async |client| client.list_instances(request).await);
    let all = found.map(|list| list.instances).unwrap_or_default();
    let candidates = all.iter().filter_map(|instance| {
        let about = format!(
            "{}, {} turns, conversation {}",
            state(instance.state().as_str_name()),
            instance.turn_count,
            short_id(&instance.conversation_id)
        );
        if !instance.name.is_empty() && instance.name.starts_with(typed) {
            return Some(candidate(&instance.name, &about));
        }
        let unasked = typed.is_empty() && !instance.name.is_empty();
        (!unasked).then(|| of_id(&instance.id, typed, &about)).flatten()
    });
    candidates.collect()
}

/// Conversations, newest first.
pub(crate) fn conversations(typed: &OsStr) -> Candidates {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let request =
        v1::ListConversationsRequest { page_size: MOST, id_match: piece(typed), ..Default::default() };
    let found = ask(async |client| client.list_conversations(request).await);
    let all = found.map(|list| list.conversations).unwrap_or_default();
    let candidates = all.iter().filter_map(|conversation| {
        let title = match conversation.title.as_str() {
            "" => "untitled",
            title => title,
        };
        of_id(&conversation.id, typed, &format!("{title}, {} turns", conversation.turn_count))
    });
    candidates.collect()
}

/// Turns, newest first.
pub(crate) fn turns(typed: &OsStr) -> Candidates {
    turns_in(typed, &[])
}

/// Turns that have not ended, newest first.
pub(crate) fn open_turns(typed: &OsStr) -> Candidates {
    turns_in(typed, &[v1::TurnState::Queued, v1::TurnState::Running])
}

fn turns_in(typed: &OsStr, states: &[v1::TurnState]) -> Candidates {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let request = v1::ListTurnsRequest {
        page_size: MOST,
        newest_first: true,
        id_match: piece(typed),
        states: states.iter().map(|state| i32::from(*state)).collect(),
        ..Default::default()
    };
    let found = ask(async |client| client.list_turns(request).await);
    let all = found.map(|list| list.turns).unwrap_or_default();
    let candidates = all.iter().filter_map(|turn| {
        of_id(&turn.id, typed, &format!("{}: {}", state(turn.state().as_str_name()), turn.prompt))
    });
    candidates.collect()
}

/// Modules, by name.
pub(crate) fn modules(typed: &OsStr) -> Candidates {
    modules_of(typed, None)
}

/// Modules that were registered, by name: others cannot be taken out.
pub(crate) fn registered_modules(typed: &OsStr) -> Candidates {
    modules_of(typed, Some(v1::ModuleOrigin::Registered))
}

fn modules_of(typed: &OsStr, origin: Option<v1::ModuleOrigin>) -> Candidates {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let origin = origin.map_or(0, i32::from);
    let all = ask(async |client| {
        let (mut modules, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = v1::ListModulesRequest { page_size: 1000, page_token, origin };
            let page = client.list_modules(request).await?;
            modules.extend(page.modules.into_iter().filter(|module| module.name.starts_with(typed)));
            page_token = page.next_page_token;
            if page_token.is_empty() || modules.len() >= MOST as usize {
                return Ok(modules);
            }
        }
    });
    let all = all.unwrap_or_default();
    all.iter()
        .map(|module| candidate(&module.name, &format!("{}: {}", module.version, module.description)))
        .collect()
}

/// Tokens that count: those that were not revoked.
pub(crate) fn tokens(typed: &OsStr) -> Candidates {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let request = v1::ListTokensRequest { page_size: MOST, ..Default::default() };
    let found = ask(async |client| client.list_tokens(request).await);
    let all = found.map(|list| list.tokens).unwrap_or_default();
    // The built-in one cannot be revoked.
    let fits = |token: &&v1::Token| {
        token.revoke_time.is_none() && token.name != "default" && token.name.starts_with(typed)
    };
    let scope = |token: &v1::Token| token.scope().as_str_name().replace("TOKEN_SCOPE_", "").to_lowercase();
    all.iter().filter(fits).map(|token| candidate(&token.name, &scope(token))).collect()
}

/// States of turns.
pub(crate) fn turn_states(typed: &OsStr) -> Candidates {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let typed = typed.to_ascii_uppercase();
    let names = ["QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"];
    names.iter().filter(|name| name.starts_with(&typed)).map(CompletionCandidate::new).collect()
}

/// The short form of an ID as tables show it, or the whole one, whichever goes on as was typed.
fn of_id(id: &str, typed: &str, about: &str) -> Option<CompletionCandidate> {
    let shown = [short_id(id), id].into_iter().find(|form| form.starts_with(typed))?;
    Some(candidate(shown, about))
}

fn candidate(value: &str, about: &str) -> CompletionCandidate {
    let about: String = one_line(about).chars().take(ABOUT).collect();
    CompletionCandidate::new(value).help(Some(about.into()))
}

/// What the server may look for: the end or the beginning of an ID. Less is a part of many.
fn piece(typed: &str) -> String {
    let is_id = typed.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if is_id && typed.len() >= SHORTEST { typed.to_ascii_lowercase() } else { String::new() }
}
