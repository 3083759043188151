//! A table of a write transaction that is opened when it is first used: most batches use a few of them, and opening each
//! costs. Knows no record.

use std::cell::OnceCell;

use redb::{Key, Table, TableDefinition, Value, WriteTransaction};

use super::tables::Fault;

/// A table, or the way to it.
pub(crate) struct Lazy<'t, K: Key + 'static, V: Value + 'static> {
    transaction: &'t WriteTransaction,
    definition: TableDefinition<'static, K, V>,
    table: OnceCell<Table<'t, K, V>>,
}

impl<'t, K: Key + 'static, V: Value + 'static> Lazy<'t, K, V> {
    /// A table that is not open yet.
    pub(crate) fn new(transaction: &'t WriteTransaction, definition: TableDefinition<'static, K, V>) -> Self {
        Self { transaction, definition, table: OnceCell::new() }
    }

    /// The open table, to look into.
    pub(crate) fn read(&self) -> Result<&Table<'t, K, V>, Fault> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let table = self.open()?;
        Ok(self.table.get_or_init(|| table))
    }

    /// The open table, to change.
    pub(crate) fn write(&mut self) -> Result<&mut Table<'t, K, V>, Fault> {
        if self.table.get().is_none() {
            self.table = OnceCell::from(self.open()?);
        }
        Ok(self.table.get_mut().expect("it was opened just now"))
    }

    fn open(&self) -> Result<Table<'t, K, V>, Fault> {
        self.transaction.open_table(self.definition).map_err(|error| Fault::Broken(error.into()))
    }
}
