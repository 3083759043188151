//! The registry itself: entries by name and origin, and which one of a name counts. Owns the two indexes (discovery,
//! and who declares a relationship to whom) and keeps them in step; must not know how either is read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::discovery::{DocumentId, Index};
use super::entry::{Changes, Entry, Origin, same_descriptor};
use super::near;
use crate::Descriptor;

/// All modules that are known, of all origins.
///
/// One entry of a name counts: the registered one, else the one of a directory, else the built-in one. Only entries that
/// count are found, listed and related; [`Registry::get_from`] and [`Registry::origins`] see those beneath.
#[derive(Default)]
pub struct Registry {
    slots: BTreeMap<String, Slot>,
    pub(super) index: Index,
    /// Module -> those whose counting descriptors declare a relationship to it, be it known or not.
    declarers: BTreeMap<String, BTreeSet<String>>,
}

/// The entries of one name, by origin, and how the counting one is indexed.
#[derive(Default)]
struct Slot {
    entries: [Option<Arc<Entry>>; Origin::ALL.len()],
    document: Option<DocumentId>,
}

impl Slot {
    fn counting(&self) -> Option<&Arc<Entry>> {
        self.entries.iter().flatten().next()
    }
}

impl Registry {
    /// A registry without modules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a module, in place of the one of the same name and origin, which is returned.
    pub fn put(&mut self, entry: Entry) -> Option<Arc<Entry>> {
        let name = entry.name().to_owned();
        self.set(&name, entry.origin, Some(Arc::new(entry)))
    }

    /// Takes a module of an origin out; the one of the next origin, if any, counts from then on.
    pub fn remove(&mut self, name: &str, origin: Origin) -> Option<Arc<Entry>> {
        self.get_from(name, origin)?;
        self.set(name, origin, None)
    }

    /// Replaces all modules of an origin. An entry whose content is as before keeps its revision and times, and is not
    /// indexed anew; its path and warnings are the new ones. Of two entries of one name the last one counts.
    pub fn replace(&mut self, origin: Origin, entries: Vec<Entry>) -> Changes {
        let incoming: BTreeMap<String, Entry> =
            entries.into_iter().map(|entry| (entry.name().to_owned(), Entry { origin, ..entry })).collect();
        let gone: Vec<String> = self
            .slots
            .iter()
            .filter(|(name, slot)| slot.entries[origin as usize].is_some() && !incoming.contains_key(*name))
            .map(|(name, _)| name.clone())
            .collect();

        let mut changes = Changes::default();
        for (name, entry) in incoming {
            match self.get_from(&name, origin).cloned() {
                Some(old) if old.same_content(&entry) => {
                    changes.kept += 1;
                    if old.path != entry.path || old.warnings != entry.warnings {
                        let Entry { path, warnings, .. } = entry;
                        self.set(
                            &name,
                            origin,
                            Some(Arc::new(Entry { path, warnings, ..Entry::clone(&old) })),
                        );
                    }
                }
                old => {
                    self.set(&name, origin, Some(Arc::new(entry)));
                    if old.is_some() { changes.changed.push(name) } else { changes.added.push(name) }
                }
            }
        }
        for name in &gone {
            self.set(name, origin, None);
        }
        changes.removed = gone;
        changes
    }

    /// The module of that name: the entry that counts.
    pub fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        self.slots.get(name)?.counting()
    }

    /// The module of that name from that origin, whether it counts or not.
    pub fn get_from(&self, name: &str, origin: Origin) -> Option<&Arc<Entry>> {
        self.slots.get(name)?.entries[origin as usize].as_ref()
    }

    /// Where a module of that name came from, by precedence: the first one counts.
    pub fn origins(&self, name: &str) -> Vec<Origin> {
        self.slots
            .get(name)
            .map(|slot| slot.entries.iter().flatten().map(|entry| entry.origin).collect())
            .unwrap_or_default()
    }

    /// Every module's name, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.slots.keys().map(String::as_str)
    }

    /// How many modules there are; one name counts once.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no modules.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// At most `limit` modules by name, from the first one after `after`; with a filter, those that count from there.
    pub fn list(&self, after: Option<&str>, limit: usize, filter: Option<Origin>) -> Vec<Arc<Entry>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.slots
            .range::<str, _>((start, Bound::Unbounded))
            .filter_map(|(_, slot)| slot.counting())
            .filter(|entry| filter.is_none_or(|origin| entry.origin == origin))
            .take(limit)
            .cloned()
            .collect()
    }

    /// At most `n` names that resemble `name`, the nearest first: other spellings, slips of the pen, beginnings and
    /// parts. `name` itself is not among them.
    pub fn near(&self, name: &str, n: usize) -> Vec<String> {
        near::nearest(self.names(), name, n)
    }

    /// The names of the modules that declare a relationship to `name`, in order.
    pub(super) fn declarers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.declarers.get(name).into_iter().flatten().map(String::as_str)
    }

    /// The modules whose names begin so, and how they are indexed.
    pub(super) fn beginning_with<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, DocumentId)> {
        self.slots
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(name, _)| name.starts_with(prefix))
            .filter_map(|(name, slot)| Some((name.as_str(), slot.document?)))
    }

    /// Sets or clears what is there of a name and an origin, and brings the indexes in step with what counts after it.
    fn set(&mut self, name: &str, origin: Origin, entry: Option<Arc<Entry>>) -> Option<Arc<Entry>> {
        let slot = self.slots.entry(name.to_owned()).or_default();
        let old = std::mem::replace(&mut slot.entries[origin as usize], entry);
        let counting = slot.counting().cloned();
        let document = slot.document;

        slot.document = match (document, counting) {
            (None, None) => None,
            (None, Some(entry)) => {
                link(&mut self.declarers, &entry.descriptor);
                Some(self.index.add(entry))
            }
            (Some(document), None) => {
                unlink(&mut self.declarers, &self.index.remove(document));
                None
            }
            (Some(document), Some(entry)) => {
                if same_descriptor(self.index.indexed(document), &entry.descriptor) {
                    self.index.swap(document, entry);
                    Some(document)
                } else {
                    unlink(&mut self.declarers, &self.index.remove(document));
                    link(&mut self.declarers, &entry.descriptor);
                    Some(self.index.add(entry))
                }
            }
        };
        if slot.document.is_none() {
            self.slots.remove(name);
        }
        old
    }
}

impl std::fmt::Debug for Registry {
    /// Ten thousand descriptors help nobody: the number of modules.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("modules", &self.len()).finish_non_exhaustive()
    }
}

fn link(declarers: &mut BTreeMap<String, BTreeSet<String>>, descriptor: &Descriptor) {
    for relationship in &descriptor.relationships {
        declarers.entry(relationship.module.clone()).or_default().insert(descriptor.name.clone());
    }
}

fn unlink(declarers: &mut BTreeMap<String, BTreeSet<String>>, descriptor: &Descriptor) {
    for relationship in &descriptor.relationships {
        if let Some(names) = declarers.get_mut(&relationship.module) {
            names.remove(&descriptor.name);
            if names.is_empty() {
                declarers.remove(&relationship.module);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(registry: &mut Registry, origin: Origin, relationships: &str) {
        let text = format!(
            r#"{{"schema": "", "name": "a", "version": "", "description": "", "relationships": [{relationships}]}}"#
        );
        registry.put(Entry {
            descriptor: Arc::new(serde_json::from_str(&text).expect("a descriptor")),
            origin,
            revision: 1,
            digest: text,
            path: String::new(),
            create_time_micros: 0,
            update_time_micros: 0,
            warnings: Vec::new(),
        });
    }

    /// A name left behind is seen by nobody, as its descriptor no longer says so; but it would stay for ever.
    #[test]
    fn declarers_that_no_longer_declare_are_forgotten() {
        let declarers = |registry: &Registry| registry.declarers.keys().cloned().collect::<Vec<_>>();
        let mut registry = Registry::new();
        put(
            &mut registry,
            Origin::Directory,
            r#"{"module": "b", "kind": "peer"}, {"module": "b", "kind": "produces"}"#,
        );
        assert_eq!(declarers(&registry), ["b"]);
        put(&mut registry, Origin::Registered, r#"{"module": "c", "kind": "peer"}"#);
        assert_eq!(declarers(&registry), ["c"]);
        put(&mut registry, Origin::Registered, "");
        assert!(declarers(&registry).is_empty());
        registry.remove("a", Origin::Registered);
        assert_eq!(declarers(&registry), ["b"]);
        registry.remove("a", Origin::Directory);
        assert!(registry.declarers.is_empty());
    }
}
