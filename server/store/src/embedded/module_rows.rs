//! The rows of registered modules in a write transaction. Decides nothing.

use claude_comms_model::ModuleRecord;
use redb::ReadableTable;

use super::{
    rows,
    tables::{Fault, OrBroken, Tables},
};
use crate::StoreError;

impl Tables<'_> {
    /// The number of a name's current revision; `None` when it is not registered.
    pub(crate) fn module_head(&self, name: &str) -> Result<Option<u64>, Fault> {
        Ok(self.module_heads.read()?.get(name).or_broken()?.map(|number| number.value()))
    }

    /// The revision that is registered under a name, whole.
    pub(crate) fn registered_module(&self, name: &str) -> Result<Option<ModuleRecord>, Fault> {
        let Some(number) = self.module_head(name)? else { return Ok(None) };
        let missing = || StoreError::Corrupt(format!("revision {number} of module {name} is gone"));
        let row = self.modules.read()?.get((name, number)).or_broken()?.ok_or_else(missing)?;
        let text = self.module_descriptors.read()?.get((name, number)).or_broken()?.ok_or_else(missing)?;
        let mut module: ModuleRecord = rows::decode("module", row.value())?;
        text.value().clone_into(&mut module.descriptor);
        module.current = true;
        Ok(Some(module))
    }

    /// All revisions of a name, oldest first, without their descriptors.
    pub(crate) fn module_revisions(&self, name: &str) -> Result<Vec<ModuleRecord>, Fault> {
        let rows = self.modules.read()?.range((name, u64::MIN)..=(name, u64::MAX)).or_broken()?;
        rows.map(|row| Ok(rows::decode("module", row.or_broken()?.1.value())?)).collect()
    }

    /// Writes a revision, but for its descriptor.
    pub(crate) fn put_module(&mut self, module: &mut ModuleRecord) -> Result<(), Fault> {
        self.wrote = true;
        let descriptor = std::mem::take(&mut module.descriptor);
        let current = std::mem::take(&mut module.current);
        rows::encode(module, self.buffer);
        (module.descriptor, module.current) = (descriptor, current);
        let key = (module.name.as_str(), module.number);
        self.modules.write()?.insert(key, self.buffer.as_slice()).or_broken()?;
        Ok(())
    }

    /// Writes a new revision.
    pub(crate) fn put_new_module(&mut self, module: &mut ModuleRecord) -> Result<(), Fault> {
        self.put_module(module)?;
        let key = (module.name.as_str(), module.number);
        self.module_descriptors.write()?.insert(key, module.descriptor.as_str()).or_broken()?;
        Ok(())
    }

    /// Makes a revision the current one of its name.
    pub(crate) fn put_module_head(&mut self, module: &ModuleRecord) -> Result<(), Fault> {
        self.wrote = true;
        self.module_heads.write()?.insert(module.name.as_str(), module.number).or_broken()?;
        Ok(())
    }

    /// Takes a name out of the registry.
    pub(crate) fn remove_module_head(&mut self, name: &str) -> Result<(), Fault> {
        self.wrote = true;
        self.module_heads.write()?.remove(name).or_broken()?;
        Ok(())
    }
}
