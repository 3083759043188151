//! The inverted index: from words and labels to the modules that have them. Owns the documents' numbers; must not know
//! which entry of a name counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fields;
use super::labels::{Keys, Labels, label};
use crate::Descriptor;
use crate::registry::Entry;

/// The number of an indexed module, reused after it is gone.
pub(in crate::registry) type DocumentId = u32;

/// A word's place: a module, and the word's weight in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Posting {
    pub(super) document: DocumentId,
    pub(super) weight: f32,
}

#[derive(Debug)]
pub(super) struct Document {
    pub(super) entry: Arc<Entry>,
    /// What the index was made from; equal to the entry's, yet what is taken out must be what was put in.
    indexed: Arc<Descriptor>,
}

/// The index of all modules that count.
#[derive(Debug, Default)]
pub(in crate::registry) struct Index {
    documents: Vec<Option<Document>>,
    free: Vec<DocumentId>,
    /// Folded words; each list by document.
    pub(super) words: BTreeMap<Box<str>, Vec<Posting>>,
    pub(super) capabilities: Labels,
    pub(super) capability_tags: Keys,
    /// Names and media types of data types.
    pub(super) data_types: Labels,
    /// Tags of modules and of their capabilities.
    pub(super) tags: Keys,
}

impl Index {
    /// Indexes a module.
    pub(in crate::registry) fn add(&mut self, entry: Arc<Entry>) -> DocumentId {
        let document = self.free.pop().unwrap_or_else(|| {
            self.documents.push(None);
            DocumentId::try_from(self.documents.len() - 1).expect("fewer than 2^32 modules")
        });
        let descriptor = Arc::clone(&entry.descriptor);
        for (word, weight) in fields::weights(&descriptor) {
            let posting = Posting { document, weight };
            if let Some(postings) = self.words.get_mut(word.as_str()) {
                let place = postings.partition_point(|posting| posting.document < document);
                postings.insert(place, posting);
            } else {
                self.words.insert(word.into(), vec![posting]);
            }
        }
        for capability in &descriptor.capabilities {
            self.capabilities.add(&capability.name, document);
            for tag in &capability.tags {
                self.capability_tags.add(&label(tag), document);
            }
        }
        for text in data_labels(&descriptor) {
            self.data_types.add(text, document);
        }
        for tag in tags(&descriptor) {
            self.tags.add(&label(tag), document);
        }
        self.documents[document as usize] = Some(Document { entry, indexed: descriptor });
        document
    }

    /// Takes a module out of the index, and returns what it had been indexed as.
    pub(in crate::registry) fn remove(&mut self, document: DocumentId) -> Arc<Descriptor> {
        let Document { indexed: descriptor, .. } =
            self.documents[document as usize].take().expect("a slot's document is indexed");
        self.free.push(document);
        fields::words(&descriptor, |word| {
            // The second time a word comes, its posting is gone.
            if let Some(postings) = self.words.get_mut(word) {
                if let Ok(place) = postings.binary_search_by_key(&document, |posting| posting.document) {
                    postings.remove(place);
                }
                if postings.is_empty() {
                    self.words.remove(word);
                }
            }
        });
        for capability in &descriptor.capabilities {
            self.capabilities.remove(&capability.name, document);
            for tag in &capability.tags {
                self.capability_tags.remove(&label(tag), document);
            }
        }
        for text in data_labels(&descriptor) {
            self.data_types.remove(text, document);
        }
        for tag in tags(&descriptor) {
            self.tags.remove(&label(tag), document);
        }
        descriptor
    }

    /// Puts an entry with the same descriptor in a document's place.
    pub(in crate::registry) fn swap(&mut self, document: DocumentId, entry: Arc<Entry>) {
        self.documents[document as usize].as_mut().expect("a slot's document is indexed").entry = entry;
    }

    /// What a document was indexed as.
    pub(in crate::registry) fn indexed(&self, document: DocumentId) -> &Arc<Descriptor> {
        &self.documents[document as usize].as_ref().expect("a slot's document is indexed").indexed
    }

    pub(super) fn entry(&self, document: DocumentId) -> &Arc<Entry> {
        &self.documents[document as usize].as_ref().expect("a found document is indexed").entry
    }

    /// One more than the greatest number of a document.
    pub(super) fn capacity(&self) -> usize {
        self.documents.len()
    }

    /// How many documents there are.
    pub(super) fn len(&self) -> usize {
        self.documents.len() - self.free.len()
    }

    /// Every document's number.
    pub(super) fn documents(&self) -> impl Iterator<Item = DocumentId> + '_ {
        (0..).zip(&self.documents).filter(|(_, document)| document.is_some()).map(|(id, _)| id)
    }
}

fn data_labels(descriptor: &Descriptor) -> impl Iterator<Item = &str> {
    descriptor
        .data_types
        .iter()
        .flat_map(|data| [data.name.as_str(), data.media_type.as_str()])
        .filter(|text| !text.is_empty())
}

fn tags(descriptor: &Descriptor) -> impl Iterator<Item = &String> {
    descriptor.tags.iter().chain(descriptor.capabilities.iter().flat_map(|capability| &capability.tags))
}
