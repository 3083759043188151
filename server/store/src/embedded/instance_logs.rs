//! What happened to instances: each event has the number after its instance's last one.

use std::collections::BTreeMap;

use claude_comms_model::{InstanceId, LogEvent, LogKind, NewLogEvent, Timestamp};
use redb::{ReadTransaction, ReadableTable};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    reading::Trouble,
    rows, schema,
    tables::{Fault, OrBroken, Tables},
};

/// An event without what its key says.
#[derive(Debug, Serialize, Deserialize)]
struct LogRow {
    #[serde(rename = "at")]
    time: Timestamp,
    #[serde(rename = "k")]
    kind: LogKind,
}

/// Numbers and writes events.
pub(crate) fn append(tables: &mut Tables<'_>, events: Vec<NewLogEvent>) -> Result<Vec<LogEvent>, Fault> {
    let server = tables.state.server.id.0.as_u128();
    let mut logged = Vec::with_capacity(events.len());
    let mut heads = BTreeMap::new();
    for NewLogEvent { instance_id, time, kind } in events {
        tables.wrote = true;
        let id = instance_id.0.as_u128();
        let head = match heads.get_mut(&id) {
            Some(head) => head,
            None => {
                let last = tables.instance_logs.read()?.get((server, id)).or_broken()?;
                heads.entry(id).or_insert(last.map_or(0, |last| last.value()))
            }
        };
        *head += 1;
        let row = LogRow { time, kind };
        rows::encode(&row, tables.buffer);
        tables.instance_events.write()?.insert((id, *head), tables.buffer.as_slice()).or_broken()?;
        logged.push(LogEvent { sequence: *head, instance_id, time: row.time, kind: row.kind });
    }
    for (id, head) in heads {
        tables.instance_logs.write()?.insert((server, id), head).or_broken()?;
    }
    Ok(logged)
}

/// Removes an instance's log.
pub(crate) fn remove(tables: &mut Tables<'_>, id: InstanceId) -> Result<(), Fault> {
    let (server, id) = (tables.state.server.id.0.as_u128(), id.0.as_u128());
    if tables.instance_logs.read()?.get((server, id)).or_broken()?.is_none() {
        return Ok(());
    }
    tables.wrote = true;
    tables.instance_logs.write()?.remove((server, id)).or_broken()?;
    let all = (id, u64::MIN)..=(id, u64::MAX);
    tables.instance_events.write()?.retain_in(all, |_, _| false).or_broken()?;
    Ok(())
}

/// Removes the logs of this server's instances without a record; the last sequences of the others.
pub(crate) fn settle(tables: &mut Tables<'_>) -> Result<BTreeMap<InstanceId, u64>, Fault> {
    let server = tables.state.server.id;
    let of_server = (server.0.as_u128(), u128::MIN)..=(server.0.as_u128(), u128::MAX);
    let mut heads = BTreeMap::new();
    for row in tables.instance_logs.read()?.range(of_server).or_broken()? {
        let (key, last) = row.or_broken()?;
        heads.insert(InstanceId(Uuid::from_u128(key.value().1)), last.value());
    }
    let mut kept = BTreeMap::new();
    for (id, last) in heads {
        if tables.instance(server, id)?.is_some() {
            kept.insert(id, last);
        } else {
            remove(tables, id)?;
        }
    }
    Ok(kept)
}

/// An instance's events after a sequence.
pub(crate) fn read(
    snapshot: &ReadTransaction,
    id: InstanceId,
    after: u64,
    limit: usize,
) -> Result<Vec<LogEvent>, Trouble> {
    let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
    let key = id.0.as_u128();
    let table = snapshot.open_table(schema::INSTANCE_EVENTS)?;
    let mut events = Vec::new();
    for row in table.range((key, first)..=(key, u64::MAX))?.take(limit) {
        let (key, value) = row?;
        let LogRow { time, kind } = rows::decode("instance event", value.value())?;
        events.push(LogEvent { sequence: key.value().1, instance_id: id, time, kind });
    }
    Ok(events)
}
