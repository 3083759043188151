//! Labels: short names that are found whole or from the beginning of one of their words. Knows strings and numbers of
//! documents only.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::index::DocumentId;

/// A label as it is compared: lower-case, with `-`, `_` and white space being the same.
pub(super) fn label(text: &str) -> String {
    text.trim()
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if matches!(c, '-' | '_') || c.is_whitespace() { ' ' } else { c })
        .collect()
}

/// Keys, and in whose documents they are. Each list is ordered and holds a document once.
#[derive(Debug, Default)]
pub(super) struct Keys(BTreeMap<Box<str>, Vec<DocumentId>>);

impl Keys {
    pub(super) fn add(&mut self, key: &str, document: DocumentId) {
        if let Some(documents) = self.0.get_mut(key) {
            if let Err(place) = documents.binary_search(&document) {
                documents.insert(place, document);
            }
        } else {
            self.0.insert(key.into(), vec![document]);
        }
    }

    pub(super) fn remove(&mut self, key: &str, document: DocumentId) {
        if let Some(documents) = self.0.get_mut(key) {
            if let Ok(place) = documents.binary_search(&document) {
                documents.remove(place);
            }
            if documents.is_empty() {
                self.0.remove(key);
            }
        }
    }

    pub(super) fn get(&self, key: &str) -> &[DocumentId] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    fn beginning_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [DocumentId])> {
        self.0
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .map(|(key, documents)| (&**key, documents.as_slice()))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }
}

/// Labels, found whole and in part.
#[derive(Debug, Default)]
pub(super) struct Labels {
    whole: Keys,
    /// What is left of a label from each of its words but the first.
    rest: Keys,
}

/// How well a label fits: 3 when it is the same, above 1 and below 2 when a word of it begins so.
pub(super) const EXACT: f64 = 3.0;

impl Labels {
    pub(super) fn add(&mut self, text: &str, document: DocumentId) {
        let label = label(text);
        self.whole.add(&label, document);
        for start in inner_words(&label) {
            self.rest.add(&label[start..], document);
        }
    }

    pub(super) fn remove(&mut self, text: &str, document: DocumentId) {
        let label = label(text);
        self.whole.remove(&label, document);
        for start in inner_words(&label) {
            self.rest.remove(&label[start..], document);
        }
    }

    /// Tells every document with a fitting label and how well it fits; a document may come several times.
    pub(super) fn find(&self, sought: &str, mut tell: impl FnMut(DocumentId, f64)) {
        for &document in self.whole.get(sought) {
            tell(document, EXACT);
        }
        for (key, documents) in self.whole.beginning_with(sought).chain(self.rest.beginning_with(sought)) {
            // The whole label is longer than what is left of it; the difference does not matter for an order.
            let fit = 1.0 + 0.9 * sought.len() as f64 / key.len().max(1) as f64;
            for &document in documents {
                tell(document, fit);
            }
        }
    }
}

/// How well `text` fits what is sought; the same as [`Labels::find`] tells of it.
pub(super) fn fit(text: &str, sought: &str) -> Option<f64> {
    let label = label(text);
    if label == sought {
        return Some(EXACT);
    }
    std::iter::once(0)
        .chain(inner_words(&label))
        .filter(|start| label[*start..].starts_with(sought))
        .map(|start| 1.0 + 0.9 * sought.len() as f64 / (label.len() - start).max(1) as f64)
        .max_by(f64::total_cmp)
}

/// Where the words of a label begin, but for its start.
fn inner_words(label: &str) -> impl Iterator<Item = usize> + '_ {
    let mut before = true;
    label.char_indices().filter_map(move |(at, c)| {
        let word = c.is_alphanumeric();
        let begins = at > 0 && word && !before;
        before = word;
        begins.then_some(at)
    })
}
