//! What an earlier run of this server left behind: every turn gets its end, waiting ones run, pinned instances come back.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use claude_comms_model::{
    Conversation, Failure, FailureReason, InstanceId, LogKind, NewLogEvent, Transition, Turn, TurnState,
    Usage,
};
use claude_comms_store::{FinishTurn, Store, StoreError};
use claude_comms_stream_json::transcript::{Fate, fate};
use claude_comms_supervisor::Supervisor;

use crate::{
    dispatcher::Dispatcher,
    live::LiveTurn,
    pair::Pair,
    telemetry::{Asker, Figures, Settled, call::Origin},
    transcript::holds_memory,
    turn::{Demand, Verdict},
};

/// Ends the turns that ran when the server ended, and clears their instances' directories. Returns those that waited.
///
/// # Errors
/// [`StoreError`]: nothing can be promised then, so the server must not start.
pub(crate) async fn settle(
    store: &Arc<dyn Store>,
    supervisor: &Supervisor,
    instances_dir: &Path,
    figures: &Figures,
) -> Result<Vec<Turn>, StoreError> {
    let swept = supervisor.sweep().await;
    if !swept.killed.is_empty() {
        tracing::warn!(killed = ?swept.killed, "processes of an earlier run were still there");
    }
    let mut waiting = Vec::new();
    for turn in store.unfinished_turns().await? {
        if matches!(turn.state, TurnState::Running { .. }) {
            end(store, supervisor, figures, turn).await?;
        } else {
            waiting.push(turn);
        }
    }
    // Each is made anew for its next process; what Claude remembers is kept as the conversations' transcripts.
    match std::fs::remove_dir_all(instances_dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "instance directories of an earlier run could not be removed");
        }
        _ => {}
    }
    Ok(waiting)
}

async fn end(
    store: &Arc<dyn Store>,
    supervisor: &Supervisor,
    figures: &Figures,
    turn: Turn,
) -> Result<(), StoreError> {
    let conversation = store.conversation(turn.conversation_id).await?;
    let Left { fate, before_repair } = read_fate(store.as_ref(), supervisor, &turn, conversation.as_ref());
    let in_context = [&fate, &before_repair].into_iter().any(|fate| *fate != Fate::Absent);
    let mut usage = usage_of(&fate);
    usage += usage_of(&before_repair);
    let failed = || Transition::Fail {
        failure: Failure::new(FailureReason::ServerRestarted, "the server was restarted while the turn ran"),
        partial_text: String::new(),
    };
    let (transition, last_assistant_uuid) = match fate {
        Fate::Answered(answer) => (judged(&turn, answer.text), Some(answer.assistant_uuid)),
        Fate::Absent | Fate::Pending | Fate::Interrupted | Fate::Failed { .. } => (failed(), None),
    };
    let finish = FinishTurn {
        turn_id: turn.id,
        lease: None,
        attempt: turn.attempt,
        transition,
        usage,
        cost_usd: 0.0,
        first_token_time: turn.first_token_time,
        in_context,
        session_id: None,
        last_assistant_uuid,
    };
    match store.finish_turn(finish).await {
        Ok(finished) => {
            let asker = conversation.map(|conversation| Asker::of(&conversation, Origin::default()));
            figures.turn_ended(&finished.turn, &asker.unwrap_or_default(), Settled::AtStart);
            Ok(())
        }
        Err(StoreError::AlreadyTerminal(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What an answer comes to that nobody read. One whose data does not fit ends the turn: its process is gone.
fn judged(turn: &Turn, text: String) -> Transition {
    let verdict = Demand::of(turn.asked.as_deref()).map(|demand| demand.judge(text));
    match verdict {
        Ok(Verdict::Final(transition) | Verdict::Repairable { otherwise: transition, .. }) => transition,
        Err(words) => Transition::Fail {
            failure: Failure::new(FailureReason::Internal, words),
            partial_text: String::new(),
        },
    }
}

/// What the backend counted for an answer that it finished.
fn usage_of(fate: &Fate) -> Usage {
    let Fate::Answered(answer) = fate else { return Usage::default() };
    Usage {
        input_tokens: answer.usage.input_tokens,
        output_tokens: answer.usage.output_tokens,
        cache_creation_input_tokens: answer.usage.cache_creation_input_tokens,
        cache_read_input_tokens: answer.usage.cache_read_input_tokens,
    }
}

/// What the CLI's own record says of a turn.
struct Left {
    /// Of what was sent last: once a better answer was asked for, only that one counts.
    fate: Fate,
    /// Of what was sent before a better answer was asked for; absent where none was.
    before_repair: Fate,
}

/// Reads what the CLI's own record says of the turn. The session's file may still be with the instance: it is kept first.
fn read_fate(
    store: &dyn Store,
    supervisor: &Supervisor,
    turn: &Turn,
    conversation: Option<&Conversation>,
) -> Left {
    let (first, repair) = (turn.claude.user_uuid, turn.claude.repair_uuid);
    let (Some(session), Some(last_sent)) = (turn.claude.session_id, repair.or(first)) else {
        return Left { fate: Fate::Absent, before_repair: Fate::Absent };
    };
    if let TurnState::Running { instance_id } = turn.state {
        let file = supervisor.session_file(&crate::backend::directory(instance_id), session);
        let sent: Vec<_> = first.into_iter().chain(repair).collect();
        if file.exists()
            && conversation.is_some_and(|conversation| holds_memory(&file, conversation, &sent))
            && let Err(error) = store.keep_transcript(turn.conversation_id, &file)
        {
            tracing::warn!(%error, turn.id = %turn.id, "transcript of an earlier run could not be kept");
        }
    }
    // A file that cannot be read holds nothing.
    let bytes = std::fs::read(store.transcript(turn.conversation_id)).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let before_repair = match (first, repair) {
        (Some(first), Some(_)) => fate(text.lines(), first),
        _ => Fate::Absent,
    };
    Left { fate: fate(text.lines(), last_sent), before_repair }
}

/// How far back a turn that runs may have started in its instance's log.
const LOG_TAIL: u64 = 64;

/// Removes the logs of instances that are forgotten, and ends the others' turns whose end was not put down any more.
/// The last sequence of each.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn settle_logs(store: &dyn Store) -> Result<BTreeMap<InstanceId, u64>, StoreError> {
    let mut lasts = store.settle_instance_logs().await?;
    let mut missing = Vec::new();
    for (id, last) in &lasts {
        let tail = store.instance_log(*id, last.saturating_sub(LOG_TAIL), usize::MAX).await?;
        let turn = tail.iter().rev().find_map(|event| match event.kind {
            LogKind::TurnStarted { turn_id, .. } => Some(Some(turn_id)),
            LogKind::TurnEnded { .. } => Some(None),
            _ => None,
        });
        let Some(turn_id) = turn.flatten() else { continue };
        let Some(turn) = store.turn(turn_id).await? else { continue };
        let time = turn.end_time.unwrap_or(turn.create_time);
        missing.extend(LogKind::of_ended(&turn).map(|kind| NewLogEvent { instance_id: *id, time, kind }));
    }
    if !missing.is_empty() {
        let logged = store.log_instances(missing).await?;
        lasts.extend(logged.into_iter().map(|event| (event.instance_id, event.sequence)));
    }
    Ok(lasts)
}

/// Gives the dispatcher what goes on: pinned instances, then the turns that waited, in order.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn take_up(
    store: &Arc<dyn Store>,
    dispatcher: &Dispatcher,
    waiting: Vec<Turn>,
) -> Result<(), StoreError> {
    for record in store.instances().await? {
        // The dispatcher was started a moment ago and lives as long as its handle here.
        let served = if record.stopped { None } else { store.conversation(record.conversation_id).await? };
        let _ = dispatcher.restore(record, served.as_ref().map_or_else(Pair::none, Pair::of)).await;
    }
    for turn in waiting {
        let events = store.turn_events(turn.id, 0).await?;
        let live = LiveTurn::new(turn.id, turn.conversation_id);
        live.publish(events);
        let conversation = store.conversation(turn.conversation_id).await?;
        let pair = conversation.as_ref().map_or_else(Pair::none, Pair::of);
        let _ = dispatcher.recover(turn, pair, live).await;
    }
    Ok(())
}
