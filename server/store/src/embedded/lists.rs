//! Lists in pages: each page is a snapshot of its own, and goes on after the last id of the one before.

use std::ops::Bound;

use claude_comms_model::{Conversation, Page, Turn, TurnStateKind};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};
use uuid::Uuid;

use super::{page_token::List, prompts, reading::Trouble, rows, schema};
use crate::{ConversationQuery, TurnQuery};

/// Newest first, by their ids.
pub(crate) fn conversations(
    snapshot: &ReadTransaction,
    query: &ConversationQuery,
) -> Result<Page<Conversation>, Trouble> {
    let list = List::of_conversations(query);
    let before = list.position(query.token.as_deref())?;
    let end = before.map_or(Bound::Unbounded, Bound::Excluded);
    let table = snapshot.open_table(schema::CONVERSATIONS)?;
    let system_prompts = snapshot.open_table(schema::SYSTEM_PROMPTS)?;
    let ids: Ids<'_> = match &query.module {
        Some(module) => {
            let rows = snapshot
                .open_table(schema::MODULE_CONVERSATIONS)?
                .range(within(module.as_str(), (Bound::Unbounded, end)))?;
            Box::new(rows.rev().map(|row| Ok(row?.0.value().1)))
        }
        None => {
            let rows = table.range::<u128>((Bound::Unbounded, end))?;
            Box::new(rows.rev().map(|row| Ok(row?.0.value())))
        }
    };
    let mut page = Filling::new(query.limit);
    for id in ids {
        let id = id?;
        if query.id_match.as_ref().is_some_and(|part| !part.matches(Uuid::from_u128(id))) {
            continue;
        }
        if page.is_full() {
            return Ok(page.and_more(&list));
        }
        let Some(row) = table.get(id)? else { continue };
        let mut conversation = rows::decode("conversation", row.value())?;
        prompts::complete_conversation(&mut conversation, &system_prompts)?;
        page.push(id, conversation);
    }
    Ok(page.last())
}

/// By their ids, oldest or newest first.
pub(crate) fn turns(snapshot: &ReadTransaction, query: &TurnQuery) -> Result<Page<Turn>, Trouble> {
    let list = List::of_turns(query);
    let position = list.position(query.token.as_deref())?;
    let turns = snapshot.open_table(schema::TURNS)?;
    let prompts = snapshot.open_table(schema::PROMPTS)?;
    let mut page = Filling::new(query.limit);
    for id in ids(snapshot, &turns, query, position)? {
        let id = id?;
        if query.id_match.as_ref().is_some_and(|part| !part.matches(Uuid::from_u128(id))) {
            continue;
        }
        let Some(row) = turns.get(id)? else { continue };
        let mut turn = rows::decode_turn(id, row.value())?;
        if !matches(query, &turn) {
            continue;
        }
        if page.is_full() {
            return Ok(page.and_more(&list));
        }
        prompts::complete_turn(&mut turn, &prompts)?;
        page.push(id, turn);
    }
    Ok(page.last())
}

fn matches(query: &TurnQuery, turn: &Turn) -> bool {
    (query.states.is_empty() || query.states.contains(&turn.state.kind()))
        && query.since.is_none_or(|since| turn.create_time >= since)
}

type Ids<'t> = Box<dyn Iterator<Item = Result<u128, Trouble>> + 't>;

/// Ids of turns that may match, in the list's order, from the smallest table that has them all.
fn ids<'t>(
    snapshot: &ReadTransaction,
    turns: &'t ReadOnlyTable<u128, &'static [u8]>,
    query: &TurnQuery,
    position: Option<u128>,
) -> Result<Ids<'t>, Trouble> {
    let from_here = match (position, query.newest_first) {
        (None, _) => (Bound::Unbounded, Bound::Unbounded),
        (Some(last), true) => (Bound::Unbounded, Bound::Excluded(last)),
        (Some(last), false) => (Bound::Excluded(last), Bound::Unbounded),
    };
    let conversation = query.conversation_id.map(|id| id.0.as_u128());
    let unfinished_only = !query.states.is_empty()
        && query.states.iter().all(|state| matches!(state, TurnStateKind::Queued | TurnStateKind::Running));
    if unfinished_only {
        let of_module = snapshot.open_table(schema::MODULE_TURNS)?;
        let mut ids = Vec::new();
        for row in snapshot.open_table(schema::UNFINISHED)?.iter()? {
            let (key, value) = row?;
            let (id, of) = (key.value().1, value.value().1);
            if conversation.is_some_and(|conversation| conversation != of)
                || !std::ops::RangeBounds::contains(&from_here, &id)
            {
                continue;
            }
            if let Some(module) = &query.module
                && of_module.get((module.as_str(), id))?.is_none()
            {
                continue;
            }
            ids.push(id);
        }
        ids.sort_unstable();
        return Ok(in_order(ids.into_iter().map(Ok), query));
    }
    if let Some(conversation) = conversation {
        if let Some(module) = &query.module
            && snapshot
                .open_table(schema::MODULE_CONVERSATIONS)?
                .get((module.as_str(), conversation))?
                .is_none()
        {
            return Ok(Box::new(std::iter::empty()));
        }
        let rows = snapshot.open_table(schema::CONVERSATION_TURNS)?.range(within(conversation, from_here))?;
        return Ok(in_order(rows.map(|row| Ok(row?.0.value().1)), query));
    }
    if let Some(module) = &query.module {
        let rows = snapshot.open_table(schema::MODULE_TURNS)?.range(within(module.as_str(), from_here))?;
        return Ok(in_order(rows.map(|row| Ok(row?.0.value().1)), query));
    }
    let rows = turns.range::<u128>(from_here)?;
    Ok(in_order(rows.map(|row| Ok(row?.0.value())), query))
}

type Bounds<K> = (Bound<K>, Bound<K>);

/// A range of ids as the keys of an index that begin with what they hang on.
fn within<P: Copy>(parent: P, ids: Bounds<u128>) -> Bounds<(P, u128)> {
    let bound = |id: Bound<u128>, last| match id {
        Bound::Unbounded => Bound::Included((parent, last)),
        other => other.map(|id| (parent, id)),
    };
    (bound(ids.0, u128::MIN), bound(ids.1, u128::MAX))
}

fn in_order<'t>(
    ids: impl DoubleEndedIterator<Item = Result<u128, Trouble>> + 't,
    query: &TurnQuery,
) -> Ids<'t> {
    if query.newest_first { Box::new(ids.rev()) } else { Box::new(ids) }
}

/// A page that fills. A limit of 0 counts as 1, so that a walk always comes on.
struct Filling<T> {
    items: Vec<T>,
    limit: usize,
    last: u128,
}

impl<T> Filling<T> {
    fn new(limit: usize) -> Self {
        Self { items: Vec::new(), limit: limit.max(1), last: 0 }
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.limit
    }

    fn push(&mut self, id: u128, item: T) {
        self.last = id;
        self.items.push(item);
    }

    fn and_more(self, list: &List) -> Page<T> {
        Page { items: self.items, next: Some(list.token(self.last)) }
    }

    fn last(self) -> Page<T> {
        Page { items: self.items, next: None }
    }
}
