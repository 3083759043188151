//! Discovery queries: filters, ranking, pages. Reads the index; what a match is worth to whom is the caller's to say.

use std::cmp::Ordering;
use std::sync::Arc;

use super::index::DocumentId;
use super::labels::{fit, label};
use super::text::Ranked;
use super::tokens::one_edit;
use crate::Descriptor;
use crate::registry::{Entry, Registry};

/// What a capability that has a tag of that name is worth, beside one of that name (3) or with a word of it (1 to 2).
const TAG_OF_CAPABILITY: f64 = 0.5;

/// What a tag is worth.
const TAG: f64 = 1.0;

/// What it is worth to be called as the text, whole or but for one edit; to begin so, by how much of the name it is.
const NAMESAKE: f64 = 5.0;

/// Least length, in bytes, of a text that is taken for the beginning of a name.
const BEGINNING: usize = 3;

/// What is sought. What is blank is not asked for; case never matters, nor whether words are parted by `-`, `_` or a
/// space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// A capability: its name, the beginning of a word of its name, or one of its tags.
    pub capability: Option<String>,
    /// A data type: its name or media type, or the beginning of a word of either.
    pub data_type: Option<String>,
    /// Tags of the module or of one of its capabilities; each must be there.
    pub tags: Vec<String>,
    /// Words, at least one of which the module must have. The last one may be unfinished, and a word of five letters or
    /// more that no module has may be one edit away from one.
    pub text: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovered {
    /// The page that was asked for: by score, then by name.
    pub matches: Vec<Match>,
    /// How many there are on all pages.
    pub total: usize,
}

/// A module that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The module.
    pub entry: Arc<Entry>,
    /// How well it fits; more is better, comparable within one query only. 0 where nothing was asked for.
    pub score: f64,
    /// By what it was found: `capability run_aql`, `data type graph_json`, `tag graph`, `text: aql, graph`.
    pub matched: Vec<String>,
}

impl Registry {
    /// The modules that fit all of a query, from the `offset`th on, at most `limit`: the best first, equals by name.
    /// Without any filter every module, by name.
    pub fn discover(&self, query: &Query, offset: usize, limit: usize) -> Discovered {
        let sought = Sought::new(query);
        if sought.is_empty() {
            let matches = self
                .list(None, offset.saturating_add(limit), None)
                .into_iter()
                .skip(offset)
                .map(|entry| Match { entry, score: 0.0, matched: Vec::new() })
                .collect();
            return Discovered { matches, total: self.len() };
        }

        let index = &self.index;
        let mut scores = vec![0.0_f64; index.capacity()];
        for document in index.documents() {
            scores[document as usize] = f64::MIN_POSITIVE;
        }
        if let Some(capability) = &sought.capability {
            let mut fits = vec![0.0; scores.len()];
            index.capabilities.find(capability, |document, fit| raise(&mut fits, document, fit));
            for &document in index.capability_tags.get(capability) {
                raise(&mut fits, document, TAG_OF_CAPABILITY);
            }
            narrow(&mut scores, &fits);
        }
        if let Some(data_type) = &sought.data_type {
            let mut fits = vec![0.0; scores.len()];
            index.data_types.find(data_type, |document, fit| raise(&mut fits, document, fit));
            narrow(&mut scores, &fits);
        }
        for tag in &sought.tags {
            let mut fits = vec![0.0; scores.len()];
            for &document in index.tags.get(tag) {
                raise(&mut fits, document, TAG);
            }
            narrow(&mut scores, &fits);
        }
        let ranked = sought.text.map(|text| Ranked::new(index, text));
        if let Some(ranked) = &ranked {
            narrow(&mut scores, &ranked.scores);
            self.prefer_namesakes(sought.text.unwrap_or_default(), ranked.corrections(), &mut scores);
        }

        let mut found: Vec<(f64, DocumentId)> =
            scores.into_iter().zip(0..).filter(|(score, _)| *score > 0.0).collect();
        let total = found.len();
        let by_rank = |one: &(f64, DocumentId), other: &(f64, DocumentId)| -> Ordering {
            other.0.total_cmp(&one.0).then_with(|| index.entry(one.1).name().cmp(index.entry(other.1).name()))
        };
        let end = offset.saturating_add(limit);
        if end == 0 || offset >= total {
            return Discovered { matches: Vec::new(), total };
        }
        if end < total {
            found.select_nth_unstable_by(end - 1, by_rank);
            found.truncate(end);
        }
        found.sort_unstable_by(by_rank);
        let matches = found
            .into_iter()
            .skip(offset)
            .map(|(score, document)| {
                let entry = Arc::clone(index.entry(document));
                let mut matched = sought.matched(&entry.descriptor);
                if let Some(ranked) = &ranked {
                    matched.push(format!("text: {}", ranked.matched(document, &entry.descriptor).join(", ")));
                }
                Match { entry, score, matched }
            })
            .collect();
        Discovered { matches, total }
    }

    /// Adds to the scores of found modules that are called as the text, however its words are parted.
    fn prefer_namesakes<'a>(
        &self,
        text: &str,
        corrections: impl Iterator<Item = &'a str>,
        scores: &mut [f64],
    ) {
        let text = label(text);
        let parted = text.contains(' ');
        for sought in [text.replace(' ', "_"), text.replace(' ', "-")].iter().take(if parted { 2 } else { 1 })
        {
            for (name, document) in self.beginning_with(sought) {
                if sought.len() >= BEGINNING || sought == name {
                    let share = sought.len() as f64 / name.len() as f64;
                    prefer(&mut scores[document as usize], share);
                }
            }
        }
        for word in corrections.filter(|word| one_edit(word, &text)) {
            for (_, document) in self.beginning_with(word).take_while(|(name, _)| *name == word) {
                prefer(&mut scores[document as usize], 1.0);
            }
        }
    }
}

fn prefer(score: &mut f64, share: f64) {
    if *score > 0.0 {
        *score += NAMESAKE * share;
    }
}

/// A query's parts that ask for something, as they are compared.
struct Sought<'a> {
    capability: Option<String>,
    data_type: Option<String>,
    tags: Vec<String>,
    text: Option<&'a str>,
}

impl<'a> Sought<'a> {
    fn new(query: &'a Query) -> Self {
        let asked = |text: &String| Some(label(text)).filter(|label| !label.is_empty());
        let mut tags: Vec<String> = Vec::new();
        for tag in query.tags.iter().filter_map(asked) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        Self {
            capability: query.capability.as_ref().and_then(asked),
            data_type: query.data_type.as_ref().and_then(asked),
            tags,
            text: query.text.as_deref().filter(|text| !text.trim().is_empty()),
        }
    }

    fn is_empty(&self) -> bool {
        self.capability.is_none() && self.data_type.is_none() && self.tags.is_empty() && self.text.is_none()
    }

    /// By which capability, data type and tags a module was found.
    fn matched(&self, descriptor: &Descriptor) -> Vec<String> {
        let mut matched = Vec::new();
        if let Some(sought) = &self.capability {
            let named = best(&descriptor.capabilities, |capability| fit(&capability.name, sought));
            if let Some(capability) = named {
                matched.push(format!("capability {}", capability.name));
            } else {
                let tagged = descriptor.capabilities.iter().find_map(|capability| {
                    let tag = capability.tags.iter().find(|tag| label(tag) == *sought)?;
                    Some(format!("capability {} (tag {tag})", capability.name))
                });
                matched.extend(tagged);
            }
        }
        if let Some(sought) = &self.data_type {
            let fits = best(&descriptor.data_types, |data| {
                let media = if data.media_type.is_empty() { None } else { fit(&data.media_type, sought) };
                fit(&data.name, sought).into_iter().chain(media).max_by(f64::total_cmp)
            });
            matched.extend(fits.map(|data| format!("data type {}", data.name)));
        }
        for sought in &self.tags {
            let own = descriptor.tags.iter();
            let all = own.chain(descriptor.capabilities.iter().flat_map(|capability| &capability.tags));
            matched.extend(all.into_iter().find(|tag| label(tag) == *sought).map(|tag| format!("tag {tag}")));
        }
        matched
    }
}

/// The first of those that fit best.
fn best<T>(items: &[T], fit: impl Fn(&T) -> Option<f64>) -> Option<&T> {
    items
        .iter()
        .filter_map(|item| Some((fit(item)?, item)))
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, item)| item)
}

fn raise(fits: &mut [f64], document: DocumentId, fit: f64) {
    let best = &mut fits[document as usize];
    *best = best.max(fit);
}

/// Keeps the documents that fit, and adds how well.
fn narrow(scores: &mut [f64], fits: &[f64]) {
    for (score, fit) in scores.iter_mut().zip(fits) {
        *score = if *score > 0.0 && *fit > 0.0 { *score + fit } else { 0.0 };
    }
}
