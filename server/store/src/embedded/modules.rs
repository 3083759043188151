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
use crate::{RegisterModule, RegisterOutcome, StoreError};

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

/// All of a name, newest first.
pub(crate) fn revisions(snapshot: &ReadTransaction, name: &str) -> Result<Vec<ModuleRecord>, Trouble> {
    let head = snapshot.open_table(schema::MODULE_HEADS)?.get(name)?.map(|number| number.value());
    let descriptors = snapshot.open_table(schema::MODULE_DESCRIPTORS)?;
    let rows = snapshot.open_table(schema::MODULES)?.range((name, u64::MIN)..=(name, u64::MAX))?;
    let mut revisions = Vec::new();
    for row in rows.rev() {
        let (key, row) = row?;
        let number = key.value().1;
        let module = whole(name, number, row.value(), &descriptors)?;
        revisions.push(ModuleRecord { current: head == Some(number), ..module });
    }
    Ok(revisions)
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
