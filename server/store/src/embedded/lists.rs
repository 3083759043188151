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
    let mut page = Filling::new(query.limit);
    for row in table.range::<u128>((Bound::Unbounded, end))?.rev() {
        let (key, value) = row?;
        let id = Uuid::from_u128(key.value());
        if query.id_match.as_ref().is_some_and(|part| !part.matches(id)) {
            continue;
        }
        if page.is_full() {
            return Ok(page.and_more(&list));
        }
        let mut conversation = rows::decode("conversation", value.value())?;
        prompts::complete_conversation(&mut conversation, &system_prompts)?;
        page.push(key.value(), conversation);
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
        let mut ids = Vec::new();
        for row in snapshot.open_table(schema::UNFINISHED)?.iter()? {
            let (key, value) = row?;
            let (id, of) = (key.value().1, value.value().1);
            if conversation.is_none_or(|conversation| conversation == of)
                && std::ops::RangeBounds::contains(&from_here, &id)
            {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        return Ok(in_order(ids.into_iter().map(Ok), query));
    }
    if let Some(conversation) = conversation {
        let low = from_here.0.map(|id| (conversation, id));
        let high = from_here.1.map(|id| (conversation, id));
        let range = (
            if low == Bound::Unbounded { Bound::Included((conversation, u128::MIN)) } else { low },
            if high == Bound::Unbounded { Bound::Included((conversation, u128::MAX)) } else { high },
        );
        let rows = snapshot.open_table(schema::CONVERSATION_TURNS)?.range(range)?;
        return Ok(in_order(rows.map(|row| Ok(row?.0.value().1)), query));
    }
    let rows = turns.range::<u128>(from_here)?;
    Ok(in_order(rows.map(|row| Ok(row?.0.value())), query))
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
