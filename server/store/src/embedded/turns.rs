//! A turn's writes: accept, start, append, requeue, repair, finish. Each checks first and writes last.

use claude_comms_model::{
    ClaudeRefs, Conversation, Event, EventKind, ResetReason, Timestamp, Transition, Turn, TurnId, TurnState,
    TurnStateKind, Usage,
};
use uuid::Uuid;

use super::{
    conversations, instances, rows,
    tables::{Fault, Tables},
};
use crate::{
    AcceptOutcome, AcceptTurn, Accepted, FinishTurn, Finished, Lease, ServerIdentity, StartTurn, Started,
    StoreError,
};

pub(crate) fn accept(tables: &mut Tables<'_>, mut accept: AcceptTurn) -> Result<AcceptOutcome, Fault> {
    if let Some(id) = tables.turn_of_request(accept.scope, accept.conversation_id, accept.request_id)? {
        let gone = || StoreError::Corrupt(format!("turn {id} of a request is gone"));
        let mut turn = tables.turn(id)?.ok_or_else(gone)?;
        if turn.payload_hash != accept.payload_hash {
            return Ok(AcceptOutcome::OtherPayload(id));
        }
        tables.complete_turn(&mut turn)?;
        return Ok(AcceptOutcome::Same(Box::new(turn)));
    }
    let now = tables.now();
    let mut making = match accept.new_conversation.take() {
        Some(new) if new.id != accept.conversation_id => {
            return Err(
                StoreError::Conflict(format!("turn {} is of another conversation", accept.turn_id)).into()
            );
        }
        Some(new) => Some(conversations::prepare(tables, *new, now)?),
        None => None,
    };
    let mut known = None;
    let conversation = match &mut making {
        Some(making) => &mut making.conversation,
        None => {
            let conversation = known.insert(tables.known_conversation(accept.conversation_id)?);
            if conversation.scene_revision != accept.seen_scene_revision {
                return Ok(AcceptOutcome::SceneChanged);
            }
            conversation
        }
    };
    if tables.has_turn(accept.turn_id)? {
        return Err(StoreError::Conflict(format!("there is a turn {} already", accept.turn_id)).into());
    }

    let server = tables.state.server;
    let (start, scope) = (accept.start, accept.scope);
    let mut turn = queued(accept, server, now);
    let request_id = turn.request_id;
    let mut events = vec![event(conversation, &mut turn, now, EventKind::Accepted { request_id })];
    turn.first_sequence = turn.last_sequence;
    conversation.turn_count = conversation.turn_count.saturating_add(1);
    conversation.update_time = now;
    let mut lease = None;
    if let Some(start) = start {
        let (started, claim) = begin(conversation, &mut turn, start, server, now)?;
        events.push(started);
        lease = Some(claim);
    }
    tables.put_new_turn(&mut turn)?;
    tables.put_request(scope, &turn)?;
    tables.list_turn(conversation, &turn)?;
    tables.enqueue(&turn)?;
    for event in &events {
        tables.put_event(event)?;
    }
    match (making, known) {
        (Some(making), _) => drop(conversations::make(tables, making)?),
        (None, Some(conversation)) => tables.put_conversation(&conversation)?,
        (None, None) => {}
    }
    Ok(AcceptOutcome::Accepted(Box::new(Accepted { turn, events, lease })))
}

pub(crate) fn start(tables: &mut Tables<'_>, id: TurnId, start: StartTurn) -> Result<Started, Fault> {
    let mut turn = open_turn(tables, id)?;
    let mut conversation = tables.known_conversation(turn.conversation_id)?;
    let (now, server) = (tables.now(), tables.state.server);
    let (event, lease) = begin(&mut conversation, &mut turn, start, server, now)?;
    write(tables, &conversation, &mut turn, std::slice::from_ref(&event))?;
    Ok(Started { turn, event, lease })
}

pub(crate) fn append(
    tables: &mut Tables<'_>,
    lease: Lease,
    id: TurnId,
    attempt: u32,
    kinds: Vec<EventKind>,
) -> Result<Vec<Event>, Fault> {
    let (mut turn, mut conversation) = running(tables, lease, id, attempt)?;
    no_end(&kinds)?;
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let now = tables.now();
    let events: Vec<_> =
        kinds.into_iter().map(|kind| event(&mut conversation, &mut turn, now, kind)).collect();
    write(tables, &conversation, &mut turn, &events)?;
    Ok(events)
}

pub(crate) fn requeue(
    tables: &mut Tables<'_>,
    lease: Lease,
    id: TurnId,
    attempt: u32,
    kind: EventKind,
) -> Result<(Turn, Event), Fault> {
    let mut turn = open_turn(tables, id)?;
    let mut conversation = leased(tables, &turn, lease, attempt)?;
    no_end(std::slice::from_ref(&kind))?;
    turn.state = turn.state.next(Transition::Requeue)?;
    let now = tables.now();
    conversation.running = None;
    let event = event(&mut conversation, &mut turn, now, kind);
    write(tables, &conversation, &mut turn, std::slice::from_ref(&event))?;
    tables.enqueue_first(&turn)?;
    Ok((turn, event))
}

pub(crate) fn repair(
    tables: &mut Tables<'_>,
    lease: Lease,
    id: TurnId,
    attempt: u32,
    user_uuid: Uuid,
) -> Result<(Turn, Event), Fault> {
    let (mut turn, mut conversation) = running(tables, lease, id, attempt)?;
    turn.claude.repair_uuid = Some(user_uuid);
    let now = tables.now();
    let kind = EventKind::TextReset { reason: ResetReason::Repair };
    let event = event(&mut conversation, &mut turn, now, kind);
    write(tables, &conversation, &mut turn, std::slice::from_ref(&event))?;
    Ok((turn, event))
}

pub(crate) fn finish(tables: &mut Tables<'_>, finish: FinishTurn) -> Result<Finished, Fault> {
    let mut turn = open_turn(tables, finish.turn_id)?;
    let mut conversation = match finish.lease {
        Some(lease) => leased(tables, &turn, lease, finish.attempt)?,
        None => unleased(tables, &turn, finish.attempt)?,
    };
    let kind = match &finish.transition {
        Transition::Complete { .. } => EventKind::Completed,
        Transition::Fail { .. } => EventKind::Failed,
        Transition::Cancel { .. } => EventKind::Cancelled,
        Transition::Start { .. } | Transition::Requeue => {
            return Err(StoreError::Conflict(format!("{} is no end", finish.transition.name())).into());
        }
    };
    turn.state = turn.state.next(finish.transition)?;
    let now = tables.now();
    let event = event(&mut conversation, &mut turn, now, kind);
    turn.usage = finish.usage;
    turn.cost_usd = rows::storable(finish.cost_usd);
    turn.first_token_time = finish.first_token_time;
    turn.in_context = finish.in_context;
    turn.end_time = Some(now);
    if conversation.running == Some(turn.id) {
        conversation.running = None;
    }
    conversation.usage += turn.usage;
    conversation.cost_usd = rows::sum(conversation.cost_usd, turn.cost_usd);
    conversation.update_time = now;
    if let Some(session) = finish.session_id {
        turn.claude.session_id = Some(session);
        conversation.claude_session_id = Some(session);
    }
    if let Some(message) = finish.last_assistant_uuid {
        turn.claude.last_assistant_uuid = Some(message.clone());
        conversation.last_assistant_uuid = Some(message);
    }
    let instance = instances::counted(tables, &turn, now)?;
    write(tables, &conversation, &mut turn, std::slice::from_ref(&event))?;
    tables.dequeue(&turn)?;
    if let Some(instance) = instance {
        tables.put_instance(&instance)?;
    }
    Ok(Finished { turn, event })
}

fn queued(accept: AcceptTurn, server: ServerIdentity, now: Timestamp) -> Turn {
    Turn {
        id: accept.turn_id,
        conversation_id: accept.conversation_id,
        request_id: accept.request_id,
        payload_hash: accept.payload_hash,
        prompt: accept.prompt,
        asked: accept.asked,
        state: TurnState::Queued,
        attempt: 0,
        epoch: 0,
        server_id: server.id,
        incarnation: server.incarnation,
        target_instance: accept.target_instance,
        instance_id: None,
        timeout_micros: accept.timeout_micros,
        in_context: false,
        claude: ClaudeRefs::default(),
        usage: Usage::default(),
        cost_usd: 0.0,
        first_sequence: 0,
        last_sequence: 0,
        create_time: now,
        start_time: None,
        first_token_time: None,
        end_time: None,
    }
}

/// QUEUED to RUNNING on the records, unless another turn of the conversation runs. A new owner or incarnation of it
/// fences off who held the conversation before.
fn begin(
    conversation: &mut Conversation,
    turn: &mut Turn,
    start: StartTurn,
    server: ServerIdentity,
    now: Timestamp,
) -> Result<(Event, Lease), Fault> {
    let running = Transition::Start { instance_id: start.instance_id };
    turn.state = std::mem::replace(&mut turn.state, TurnState::Queued).next(running)?;
    if let Some(other) = conversation.running {
        return Err(StoreError::Conflict(format!("turn {other} of the conversation runs")).into());
    }
    conversation.running = Some(turn.id);
    let owner = Some((server.id, server.incarnation));
    if conversation.owner != owner {
        conversation.owner = owner;
        conversation.epoch += 1;
    }
    conversation.claude_session_id = Some(start.session_id);
    conversation.update_time = now;
    turn.attempt = turn.attempt.saturating_add(1);
    turn.epoch = conversation.epoch;
    turn.incarnation = server.incarnation;
    turn.instance_id = Some(start.instance_id);
    turn.claude.session_id = Some(start.session_id);
    turn.claude.user_uuid = Some(start.user_uuid);
    turn.claude.repair_uuid = None;
    turn.start_time = Some(now);
    turn.first_token_time = None;
    let kind = EventKind::Started { instance_id: start.instance_id, attempt: turn.attempt };
    let lease = Lease { conversation_id: conversation.id, epoch: conversation.epoch };
    Ok((event(conversation, turn, now, kind), lease))
}

/// The conversation's next event.
fn event(conversation: &mut Conversation, turn: &mut Turn, time: Timestamp, kind: EventKind) -> Event {
    conversation.last_sequence += 1;
    turn.last_sequence = conversation.last_sequence;
    Event {
        sequence: conversation.last_sequence,
        conversation_id: conversation.id,
        turn_id: turn.id,
        time,
        kind,
    }
}

fn write(
    tables: &mut Tables<'_>,
    conversation: &Conversation,
    turn: &mut Turn,
    events: &[Event],
) -> Result<(), Fault> {
    for event in events {
        tables.put_event(event)?;
    }
    tables.put_turn(turn)?;
    tables.put_conversation(conversation)
}

/// The turn, which must exist and not have ended.
fn open_turn(tables: &Tables<'_>, id: TurnId) -> Result<Turn, Fault> {
    let mut turn = tables.known_turn(id)?;
    if turn.state.kind().is_terminal() {
        tables.complete_turn(&mut turn)?;
        return Err(StoreError::AlreadyTerminal(Box::new(turn)).into());
    }
    Ok(turn)
}

/// A turn that runs and its conversation, if the lease on it and the attempt are the current ones.
fn running(
    tables: &Tables<'_>,
    lease: Lease,
    id: TurnId,
    attempt: u32,
) -> Result<(Turn, Conversation), Fault> {
    let turn = open_turn(tables, id)?;
    let conversation = leased(tables, &turn, lease, attempt)?;
    if turn.state.kind() != TurnStateKind::Running {
        return Err(StoreError::Conflict(format!("turn {id} is {}", turn.state.kind().as_str())).into());
    }
    Ok((turn, conversation))
}

/// The conversation of a turn, if the lease on it and the attempt are the current ones.
fn leased(tables: &Tables<'_>, turn: &Turn, lease: Lease, attempt: u32) -> Result<Conversation, Fault> {
    if lease.conversation_id != turn.conversation_id {
        return Err(StoreError::Conflict(format!("turn {} is of another conversation", turn.id)).into());
    }
    let conversation = tables.known_conversation(turn.conversation_id)?;
    if lease.epoch != conversation.epoch || attempt != turn.attempt {
        return Err(StoreError::Fenced { epoch: conversation.epoch, attempt: turn.attempt }.into());
    }
    Ok(conversation)
}

/// The conversation of a turn that nobody can hold a lease for: it waits, or ran in an older incarnation of this
/// server. Other servers' running turns are theirs to end.
fn unleased(tables: &Tables<'_>, turn: &Turn, attempt: u32) -> Result<Conversation, Fault> {
    let conversation = tables.known_conversation(turn.conversation_id)?;
    let server = tables.state.server;
    let held = turn.state.kind() == TurnStateKind::Running
        && (turn.server_id != server.id || turn.incarnation >= server.incarnation);
    if held || attempt != turn.attempt {
        return Err(StoreError::Fenced { epoch: conversation.epoch, attempt: turn.attempt }.into());
    }
    Ok(conversation)
}

/// Ends are written by [`finish`] alone.
fn no_end(kinds: &[EventKind]) -> Result<(), Fault> {
    if kinds.iter().any(EventKind::is_terminal) {
        return Err(StoreError::Conflict("only the end of a turn writes a terminal event".to_owned()).into());
    }
    Ok(())
}
