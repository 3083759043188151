//! Which of a module's texts a question is about: words that they share, rare ones counting more. It must not know
//! what the texts are for.

use std::collections::{BTreeMap, HashMap};

/// Words that are in every text and say nothing of it.
const EMPTY_WORDS: [&str; 46] = [
    "a", "all", "an", "and", "any", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "get",
    "give", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "me", "my", "no", "not", "of",
    "on", "one", "or", "that", "the", "their", "this", "to", "was", "what", "which", "will", "with", "you",
];

/// The words of a set of texts.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    ids: HashMap<String, usize>,
    /// In how many of the texts each word is.
    texts_with: Vec<u32>,
}

/// A text's words by their ids, with their weight in it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Words(BTreeMap<usize, u32>);

/// Which words of a vocabulary a question has.
#[derive(Debug)]
pub(crate) struct Hits(Vec<bool>);

impl Vocabulary {
    /// Adds a text made of parts of different weight.
    pub(crate) fn add<'a>(&mut self, parts: impl IntoIterator<Item = (u32, &'a str)>) -> Words {
        let mut words = BTreeMap::new();
        let mut next = String::new();
        for (weight, text) in parts {
            each_word(text, &mut next, |word| {
                if EMPTY_WORDS.contains(&word) {
                    return;
                }
                let known = self.ids.get(word).copied();
                let id = known.unwrap_or_else(|| {
                    self.ids.insert(word.to_owned(), self.texts_with.len());
                    self.texts_with.push(0);
                    self.texts_with.len() - 1
                });
                let most = words.entry(id).or_insert(weight);
                *most = weight.max(*most);
            });
        }
        for id in words.keys() {
            self.texts_with[*id] += 1;
        }
        Words(words)
    }

    /// Which words the question has. It takes linear time and no memory for words that are not known.
    pub(crate) fn hits(&self, question: &str) -> Hits {
        let mut hits = vec![false; self.texts_with.len()];
        if !hits.is_empty() {
            each_word(question, &mut String::new(), |word| {
                if let Some(id) = self.ids.get(word) {
                    hits[*id] = true;
                }
            });
        }
        Hits(hits)
    }

    /// How much a text has to do with the question: 0 is nothing. Whole numbers, so that it is the same everywhere.
    pub(crate) fn score(&self, words: &Words, hits: &Hits) -> u64 {
        let shared = words.0.iter().filter(|(id, _)| hits.0[**id]);
        shared.map(|(id, weight)| u64::from(*weight) * self.rarity(*id)).sum()
    }

    /// The more texts have a word, the less it tells them apart.
    fn rarity(&self, id: usize) -> u64 {
        1 + 1000 / u64::from(self.texts_with[id].max(1))
    }
}

impl Words {
    /// Whether the question has every word of the text, and the text has any.
    pub(crate) fn all_in(&self, hits: &Hits) -> bool {
        !self.0.is_empty() && self.0.keys().all(|id| hits.0[*id])
    }
}

/// Calls for every word, in small letters and without a plural's s; names are split at their capitals and underscores.
fn each_word(text: &str, next: &mut String, mut each: impl FnMut(&str)) {
    next.clear();
    let mut small_before = false;
    for character in text.chars() {
        let ideograph = is_ideograph(character);
        if !character.is_alphanumeric() || ideograph || (character.is_uppercase() && small_before) {
            end_word(next, &mut each);
        }
        if character.is_alphanumeric() {
            next.extend(character.to_lowercase());
        }
        if ideograph {
            // Chinese and Japanese put no spaces between words: each sign is one.
            end_word(next, &mut each);
        }
        small_before = character.is_lowercase() || character.is_ascii_digit();
    }
    end_word(next, &mut each);
}

fn end_word(word: &mut String, each: &mut impl FnMut(&str)) {
    if !word.is_empty() {
        let stem = word.strip_suffix('s').filter(|stem| stem.len() > 2 && !stem.ends_with('s'));
        each(stem.unwrap_or(word));
        word.clear();
    }
}

fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_shared_words_count_more_than_common_ones() {
        let mut vocabulary = Vocabulary::default();
        let query = vocabulary.add([(3, "run_aql"), (1, "Runs one AQL query on the database")]);
        let import = vocabulary.add([(3, "importDocuments"), (1, "Writes documents to the database")]);
        let graph = vocabulary.add([(3, "traverse_graph"), (1, "Walks a graph of the database")]);
        let hits = vocabulary.hits("How do I import a document into the database?");
        let score = |words| vocabulary.score(words, &hits);
        assert!(score(&import) > score(&query));
        assert_eq!(score(&query), score(&graph));
    }

    #[test]
    fn a_term_of_two_words_is_in_a_question_that_has_both() {
        let mut vocabulary = Vocabulary::default();
        let term = vocabulary.add([(1, "edge collection")]);
        assert!(term.all_in(&vocabulary.hits("Which EDGE goes to which collections?")));
        assert!(!term.all_in(&vocabulary.hits("Which edge?")));
        let chinese = vocabulary.add([(1, "文档")]);
        assert!(chinese.all_in(&vocabulary.hits("如何导入文档？")));
    }
}
