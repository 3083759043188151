//! Registered modules: which revision counts, and why. Knows nothing of what a descriptor says.

use std::cmp::Ordering;

use claude_comms_model::ModuleRecord;
use redb::{ReadTransaction, ReadableTable};
use semver::Version;

use super::{
    reading::Trouble,
    rows, schema,
    tables::{Fault, Tables},
};
use crate::{MODULE_REVISIONS, ModuleRevisionInfo, RegisterModule, RegisterOutcome, StoreError};

/// Compares with what is current, then makes the content current. Content that the name had before, under the same
/// version, keeps its number and revision.
pub(crate) fn register(tables: &mut Tables<'_>, new: RegisterModule) -> Result<RegisterOutcome, Fault> {
    let version = Version::parse(&new.version)
        .map_err(|error| StoreError::Conflict(format!("{:?} is no version: {error}", new.version)))?;
    match tables.registered_module(&new.name)? {
        None if new.must_exist || new.expected_digest.is_some() => return Ok(RegisterOutcome::Absent),
        None => {}
        Some(mut current) => {
            if new.expected_digest.as_ref().is_some_and(|digest| *digest != current.digest) {
                return Ok(RegisterOutcome::Changed(Box::new(current)));
            }
            if is_content(&current, &new) {
                if current.path != new.path {
                    current.path = new.path;
                    tables.put_module(&mut current)?;
                }
                return Ok(RegisterOutcome::Unchanged(Box::new(current)));
            }
            if !new.force && precedence(&version, &current)? == Ordering::Less {
                return Ok(RegisterOutcome::Lower(Box::new(current)));
            }
        }
    }
    let revisions = tables.module_revisions(&new.name)?;
    let mut module = match revisions.iter().find(|known| is_content(known, &new)) {
        Some(known) => {
            let mut known = ModuleRecord { descriptor: new.descriptor, ..known.clone() };
            if known.path != new.path {
                known.path = new.path;
                tables.put_module(&mut known)?;
            }
            known
        }
        None => {
            let mut module = next(new, &version, &revisions, tables)?;
            tables.put_new_module(&mut module)?;
            module
        }
    };
    tables.put_module_head(&module)?;
    module.current = true;
    Ok(RegisterOutcome::Stored(Box::new(module)))
}

/// The record comes back as it was, no longer current.
pub(crate) fn unregister(tables: &mut Tables<'_>, name: &str) -> Result<Option<ModuleRecord>, Fault> {
    let Some(module) = tables.registered_module(name)? else { return Ok(None) };
    tables.remove_module_head(name)?;
    Ok(Some(ModuleRecord { current: false, ..module }))
}

/// The registered ones, by name.
pub(crate) fn current(snapshot: &ReadTransaction) -> Result<Vec<ModuleRecord>, Trouble> {
    let modules = snapshot.open_table(schema::MODULES)?;
    let descriptors = snapshot.open_table(schema::MODULE_DESCRIPTORS)?;
    let mut current = Vec::new();
    for row in snapshot.open_table(schema::MODULE_HEADS)?.iter()? {
        let (name, number) = row?;
        let (name, number) = (name.value(), number.value());
        let row = modules.get((name, number))?.ok_or_else(|| gone(name, number))?;
        current.push(ModuleRecord { current: true, ..whole(name, number, row.value(), &descriptors)? });
    }
    Ok(current)
}

/// Those of a name, newest first.
pub(crate) fn revisions(
    snapshot: &ReadTransaction,
    name: &str,
    limit: usize,
) -> Result<Vec<ModuleRevisionInfo>, Trouble> {
    let head = head(snapshot, name)?;
    let rows = snapshot.open_table(schema::MODULES)?.range((name, u64::MIN)..=(name, u64::MAX))?;
    let mut revisions = Vec::new();
    for row in rows.rev().take(limit.min(MODULE_REVISIONS)) {
        let (key, row) = row?;
        let module: ModuleRecord = rows::decode("module", row.value())?;
        let number = key.value().1;
        revisions.push(ModuleRevisionInfo {
            version: module.version,
            revision: module.revision,
            number,
            digest: module.digest,
            update_time: module.update_time,
            current: head == Some(number),
        });
    }
    Ok(revisions)
}

/// One of a name, whole; the last content of its version without `revision`.
pub(crate) fn revision(
    snapshot: &ReadTransaction,
    name: &str,
    version: &str,
    revision: Option<u32>,
) -> Result<Option<ModuleRecord>, Trouble> {
    let rows = snapshot.open_table(schema::MODULES)?.range((name, u64::MIN)..=(name, u64::MAX))?;
    // Within a version, a higher number is a later content.
    for row in rows.rev() {
        let (key, row) = row?;
        let known: ModuleRecord = rows::decode("module", row.value())?;
        if known.version == version && revision.is_none_or(|wanted| wanted == known.revision) {
            let number = key.value().1;
            let descriptors = snapshot.open_table(schema::MODULE_DESCRIPTORS)?;
            let module = whole(name, number, row.value(), &descriptors)?;
            return Ok(Some(ModuleRecord { current: head(snapshot, name)? == Some(number), ..module }));
        }
    }
    Ok(None)
}

/// The number of the revision that counts for a name.
fn head(snapshot: &ReadTransaction, name: &str) -> Result<Option<u64>, Trouble> {
    Ok(snapshot.open_table(schema::MODULE_HEADS)?.get(name)?.map(|number| number.value()))
}

fn whole(
    name: &str,
    number: u64,
    row: &[u8],
    descriptors: &impl ReadableTable<(&'static str, u64), &'static str>,
) -> Result<ModuleRecord, Trouble> {
    let mut module: ModuleRecord = rows::decode("module", row)?;
    let text = descriptors.get((name, number))?.ok_or_else(|| gone(name, number))?;
    text.value().clone_into(&mut module.descriptor);
    Ok(module)
}

fn gone(name: &str, number: u64) -> StoreError {
    StoreError::Corrupt(format!("revision {number} of module {name} is gone"))
}

/// A new revision, after those that the name has.
fn next(
    new: RegisterModule,
    version: &Version,
    revisions: &[ModuleRecord],
    tables: &Tables<'_>,
) -> Result<ModuleRecord, Fault> {
    let mut revision = 0;
    for known in revisions {
        if precedence(version, known)? == Ordering::Equal {
            revision = revision.max(known.revision);
        }
    }
    let now = tables.now();
    Ok(ModuleRecord {
        name: new.name,
        version: new.version,
        revision: revision + 1,
        number: revisions.last().map_or(0, |last| last.number) + 1,
        descriptor: new.descriptor,
        digest: new.digest,
        path: new.path,
        create_time: revisions.first().map_or(now, |first| first.create_time),
        update_time: now,
        current: true,
    })
}

fn is_content(known: &ModuleRecord, new: &RegisterModule) -> bool {
    known.version == new.version && known.digest == new.digest
}

/// How a version stands to a record's. Build metadata makes no difference, as semver.org has it.
fn precedence(version: &Version, known: &ModuleRecord) -> Result<Ordering, Fault> {
    let of_record = Version::parse(&known.version).map_err(|error| {
        StoreError::Corrupt(format!("module {} has version {:?}: {error}", known.name, known.version))
    })?;
    Ok(version.cmp_precedence(&of_record))
}

#[cfg(test)]
mod tests {
    use claude_comms_model::Timestamp;
    use redb::{Builder, ReadableDatabase, backends::InMemoryBackend};

    use super::*;

    #[test]
    fn a_list_of_revisions_has_its_bound_and_needs_no_descriptor() {
        let database = Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(schema::MODULE_HEADS).unwrap();
        let last = MODULE_REVISIONS as u64 + 2;
        let mut buffer = Vec::new();
        for number in 1..=last {
            let record = ModuleRecord {
                name: "billing".to_owned(),
                version: "1.0.0".to_owned(),
                revision: u32::try_from(number).unwrap(),
                number,
                descriptor: String::new(),
                digest: String::new(),
                path: String::new(),
                create_time: Timestamp(0),
                update_time: Timestamp(0),
                current: false,
            };
            rows::encode(&record, &mut buffer);
            let mut modules = transaction.open_table(schema::MODULES).unwrap();
            modules.insert(("billing", number), buffer.as_slice()).unwrap();
        }
        transaction.commit().unwrap();
        let found = revisions(&database.begin_read().unwrap(), "billing", usize::MAX).unwrap();
        let found: Vec<_> = found.into_iter().map(|revision| revision.number).collect();
        assert_eq!(found, (3..=last).rev().collect::<Vec<_>>());
    }
}
