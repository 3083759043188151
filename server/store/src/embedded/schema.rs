//! The tables and their versions. Knows no record and no operation.
//!
//! Ids are keys as 128-bit numbers, so that UUIDv7 keys sort by time. Records are JSON rows (see [`super::rows`]).

use claude_comms_model::ServerId;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction,
};
use uuid::Uuid;

/// `schema_version`, `server_id`, `incarnation`, as text. Its name is how our file is told from any other.
pub(crate) const META: TableDefinition<'_, &str, &str> = TableDefinition::new("claude_comms_meta");
/// Conversation -> record.
pub(crate) const CONVERSATIONS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("conversations");
/// Turn -> record, the answer's text included.
pub(crate) const TURNS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("turns");
/// Conversation -> its system prompt, if it has one: large, and its record is written anew with every turn.
pub(crate) const SYSTEM_PROMPTS: TableDefinition<'_, u128, &str> = TableDefinition::new("system_prompts");
/// Turn -> its prompt, if that is too large to be written anew with the turn's record (see [`super::prompts`]).
pub(crate) const PROMPTS: TableDefinition<'_, u128, &str> = TableDefinition::new("prompts");
/// (Conversation, turn): a conversation's turns in the order of their ids.
pub(crate) const CONVERSATION_TURNS: TableDefinition<'_, (u128, u128), ()> =
    TableDefinition::new("conversation_turns");
/// (Conversation, sequence) -> event.
pub(crate) const EVENTS: TableDefinition<'_, (u128, u64), &[u8]> = TableDefinition::new("events");
/// (Conversation, request) -> turn.
pub(crate) const REQUESTS: TableDefinition<'_, (u128, u128), u128> = TableDefinition::new("requests");
/// (Server, turn) -> (place in the queue, conversation): the turns that have not ended.
pub(crate) const UNFINISHED: TableDefinition<'_, (u128, u128), (i64, u128)> =
    TableDefinition::new("unfinished");
/// Turn -> what was made of its prompt and is demanded of its answer, if anything. Written once, when it is accepted.
pub(crate) const ASKED: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("asked");
/// (Pair of modules, request) -> turn: requests that are unique within such a pair. They are in [`REQUESTS`] too.
pub(crate) const PAIR_REQUESTS: TableDefinition<'_, (u128, u128), u128> =
    TableDefinition::new("pair_requests");
/// Turn -> its key in [`PAIR_REQUESTS`], if it has one: to find that row when the turn goes.
pub(crate) const PAIRED_TURNS: TableDefinition<'_, u128, (u128, u128)> = TableDefinition::new("paired_turns");
/// Digest -> scene. Conversations share them; each goes with the last that has it.
pub(crate) const SCENES: TableDefinition<'_, &str, &str> = TableDefinition::new("scenes");
/// (Digest of a scene, conversation): the conversations that have a scene.
pub(crate) const SCENE_USERS: TableDefinition<'_, (&str, u128), ()> = TableDefinition::new("scene_users");
/// (Module, conversation): the conversations with a module as source or target, in the order of their ids.
pub(crate) const MODULE_CONVERSATIONS: TableDefinition<'_, (&str, u128), ()> =
    TableDefinition::new("module_conversations");
/// (Module, turn): the turns of those conversations, in the order of their ids.
pub(crate) const MODULE_TURNS: TableDefinition<'_, (&str, u128), ()> = TableDefinition::new("module_turns");
/// (Module, number) -> record without its descriptor. Stays when the module is unregistered.
pub(crate) const MODULES: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("modules");
/// (Module, number) -> descriptor: large, and looking for a version needs none.
pub(crate) const MODULE_DESCRIPTORS: TableDefinition<'_, (&str, u64), &str> =
    TableDefinition::new("module_descriptors");
/// Registered module -> number of its current revision.
pub(crate) const MODULE_HEADS: TableDefinition<'_, &str, u64> = TableDefinition::new("module_heads");
/// (Server, instance) -> record.
pub(crate) const INSTANCES: TableDefinition<'_, (u128, u128), &[u8]> = TableDefinition::new("instances");
/// Token -> record, the digest of its secret included.
pub(crate) const TOKENS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tokens");
/// (Instance, sequence) -> what happened to it.
pub(crate) const INSTANCE_EVENTS: TableDefinition<'_, (u128, u64), &[u8]> =
    TableDefinition::new("instance_events");
/// (Server, instance) -> sequence of the last of its events.
pub(crate) const INSTANCE_LOGS: TableDefinition<'_, (u128, u128), u64> =
    TableDefinition::new("instance_logs");

const SCHEMA_VERSION: &str = "schema_version";
const SERVER_ID: &str = "server_id";
const INCARNATION: &str = "incarnation";
/// When a write was last tried for its own sake; nobody reads it.
pub(crate) const PROBE: &str = "probe";

/// Takes a file from one version to the next, in a transaction of its own.
pub(crate) type Migration = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// `MIGRATIONS[n]` goes from version n to n + 1. Only ever appended to once a version is released: version 1 is not yet,
/// so that it still changes in place. A new file starts as version 0.
pub(crate) const MIGRATIONS: &[Migration] = &[create_tables];

/// The version this program writes.
#[expect(clippy::cast_possible_truncation, reason = "a handful of versions")]
pub(crate) const VERSION: u32 = MIGRATIONS.len() as u32;

/// Opens all tables but [`META`]: making them where the transaction writes, else failing where one is not there.
macro_rules! open_all {
    ($transaction:expr) => {
        open_all!($transaction; CONVERSATIONS, TURNS, SYSTEM_PROMPTS, PROMPTS, ASKED, CONVERSATION_TURNS, EVENTS, REQUESTS,
            PAIR_REQUESTS, PAIRED_TURNS, UNFINISHED, INSTANCES, SCENES, SCENE_USERS, MODULE_CONVERSATIONS, MODULE_TURNS,
            MODULES, MODULE_DESCRIPTORS, MODULE_HEADS, TOKENS, INSTANCE_EVENTS, INSTANCE_LOGS)
    };
    ($transaction:expr; $($table:ident),*) => { $($transaction.open_table($table)?;)* };
}

fn create_tables(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    open_all!(transaction);
    Ok(())
}

/// Makes an empty file a store of version 0.
pub(crate) fn found(database: &Database, server: ServerId) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(SCHEMA_VERSION, "0")?;
        meta.insert(SERVER_ID, server.to_string().as_str())?;
        meta.insert(INCARNATION, "0")?;
    }
    Ok(transaction.commit()?)
}

/// The file's version; `None` when it is not a store of ours.
pub(crate) fn version(transaction: &ReadTransaction) -> Result<Option<u32>, redb::Error> {
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(source)) => return Err(source.into()),
        Err(_) => return Ok(None),
    };
    number(&meta, SCHEMA_VERSION)
}

/// Refuses a file of this version whose tables are not the ones above.
pub(crate) fn check_tables(transaction: &ReadTransaction) -> Result<(), redb::Error> {
    open_all!(transaction);
    let meta = transaction.open_table(META)?;
    server_id(&meta)?;
    number::<u64>(&meta, INCARNATION)?;
    Ok(())
}

/// Brings an older file to the last version of `migrations`, step by step; each is durable before the next begins.
/// `false` when there was nothing to do.
pub(crate) fn migrate(database: &Database, migrations: &[Migration]) -> Result<bool, redb::Error> {
    let mut at = version(&database.begin_read()?)?.unwrap_or(0);
    let before = at;
    while let Some(step) = usize::try_from(at).ok().and_then(|at| migrations.get(at)) {
        let transaction = database.begin_write()?;
        step(&transaction)?;
        transaction.open_table(META)?.insert(SCHEMA_VERSION, (at + 1).to_string().as_str())?;
        transaction.commit()?;
        at += 1;
    }
    Ok(at > before)
}

/// Who the server is by now: counts this opening, durably.
pub(crate) fn count_incarnation(database: &Database) -> Result<(ServerId, u64), redb::Error> {
    let transaction = database.begin_write()?;
    let (server, incarnation) = {
        let mut meta = transaction.open_table(META)?;
        let server = server_id(&meta)?;
        let incarnation = number::<u64>(&meta, INCARNATION)?.unwrap_or(0).saturating_add(1);
        meta.insert(INCARNATION, incarnation.to_string().as_str())?;
        (server, incarnation)
    };
    transaction.commit()?;
    Ok((server, incarnation))
}

fn server_id(meta: &impl ReadableTable<&'static str, &'static str>) -> Result<ServerId, redb::Error> {
    let text = meta.get(SERVER_ID)?;
    let id = text.and_then(|text| Uuid::parse_str(text.value()).ok());
    id.map(ServerId).ok_or_else(|| redb::Error::Corrupted("it names no server".to_owned()))
}

fn number<N: std::str::FromStr>(
    meta: &impl ReadableTable<&'static str, &'static str>,
    key: &str,
) -> Result<Option<N>, redb::Error> {
    let Some(text) = meta.get(key)? else { return Ok(None) };
    let number =
        text.value().parse().map_err(|_| redb::Error::Corrupted(format!("its {key} is no number")))?;
    Ok(Some(number))
}

#[cfg(test)]
mod tests {
    use redb::{Builder, backends::InMemoryBackend};

    use super::*;

    const ADDED: TableDefinition<'_, &str, u64> = TableDefinition::new("added");

    fn add(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut added = transaction.open_table(ADDED)?;
        let before = added.get("count")?.map_or(0, |count| count.value());
        added.insert("count", before + 1)?;
        Ok(())
    }

    fn fail(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        add(transaction)?;
        Err(redb::Error::Corrupted("the step found nonsense".to_owned()))
    }

    fn count(database: &Database) -> u64 {
        let added = database.begin_read().unwrap().open_table(ADDED).unwrap();
        added.get("count").unwrap().unwrap().value()
    }

    fn at(database: &Database) -> Option<u32> {
        version(&database.begin_read().unwrap()).unwrap()
    }

    #[test]
    fn each_migration_runs_once_and_whole() {
        let database = Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
        found(&database, ServerId(Uuid::nil())).unwrap();
        assert_eq!(at(&database), Some(0));
        assert!(migrate(&database, MIGRATIONS).unwrap());
        assert_eq!(at(&database), Some(VERSION));
        check_tables(&database.begin_read().unwrap()).unwrap();

        let longer = [create_tables, add, add, fail, add];
        migrate(&database, &longer).unwrap_err();
        // The steps before the failed one are kept, of the failed one nothing.
        assert_eq!((at(&database), count(&database)), (Some(3), 2));
        migrate(&database, &[create_tables, add, add, add]).unwrap();
        migrate(&database, &[create_tables, add, add, add]).unwrap();
        assert_eq!((at(&database), count(&database)), (Some(4), 3));
        // An older program's list is shorter: nothing happens.
        assert!(!migrate(&database, MIGRATIONS).unwrap());
        assert_eq!(at(&database), Some(4));
        check_tables(&database.begin_read().unwrap()).unwrap();
    }
}
