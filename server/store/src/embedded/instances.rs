//! An instance's writes: its record, and the turns that count for it.

use claude_comms_model::{Instance, Timestamp, Turn};

use super::{
    instance_logs, rows,
    tables::{Fault, Tables},
};
use crate::api::STOPPED_INSTANCES;

/// Writes a record. Writers may come late and out of order, so that one that is there only goes forwards.
pub(crate) fn put(tables: &mut Tables<'_>, mut instance: Instance) -> Result<(), Fault> {
    instance.cost_usd = rows::storable(instance.cost_usd);
    let mut stops = instance.stopped;
    if let Some(stored) = tables.instance(instance.server_id, instance.id)? {
        stops &= !stored.stopped;
        instance.stopped |= stored.stopped;
        instance.process_generation = instance.process_generation.max(stored.process_generation);
        instance.turn_count = stored.turn_count;
        instance.usage = stored.usage;
        instance.cost_usd = stored.cost_usd;
        instance.last_active_time = instance.last_active_time.max(stored.last_active_time);
        if instance.exit.as_ref().map(|exit| exit.time) < stored.exit.as_ref().map(|exit| exit.time) {
            instance.exit = stored.exit;
        }
    }
    let forgotten = if stops { too_old(tables, &instance)? } else { Vec::new() };
    tables.put_instance(&instance)?;
    for instance in &forgotten {
        tables.remove_instance(instance)?;
        instance_logs::remove(tables, instance.id)?;
    }
    Ok(())
}

/// The record of the instance that ran a turn last, with the turn counted. Those that nobody pinned have none.
pub(crate) fn counted(tables: &Tables<'_>, turn: &Turn, ended: Timestamp) -> Result<Option<Instance>, Fault> {
    let Some(id) = turn.instance_id else { return Ok(None) };
    let Some(mut instance) = tables.instance(tables.state.server.id, id)? else { return Ok(None) };
    instance.turn_count = instance.turn_count.saturating_add(1);
    instance.usage += turn.usage;
    instance.cost_usd = rows::sum(instance.cost_usd, turn.cost_usd);
    instance.last_active_time = instance.last_active_time.max(ended);
    Ok(Some(instance))
}

/// A server's stopped instances but the newest; `newest` is just stopping.
fn too_old(tables: &Tables<'_>, newest: &Instance) -> Result<Vec<Instance>, Fault> {
    let mut stopped = tables.instances(newest.server_id)?;
    stopped.retain(|instance| instance.stopped && instance.id != newest.id);
    stopped.sort_by_key(|instance| {
        let end = instance.exit.as_ref().map_or(instance.last_active_time, |exit| exit.time);
        (std::cmp::Reverse(end), instance.id)
    });
    Ok(stopped.split_off(stopped.len().min(STOPPED_INSTANCES - 1)))
}
