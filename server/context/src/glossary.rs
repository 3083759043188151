//! The words of both modules side by side, so that one can be said in the other's.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Value, context};

use crate::rank::{Hits, Vocabulary, Words};
use crate::scene::Scene;
use crate::tokens::estimate_tokens;
use crate::value::line;

/// Whose word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// The caller's, for this conversation: never left out.
    Conversation,
    /// Both modules', with a meaning of its own for each.
    Both,
    Target,
    Source,
}

/// One word.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) term: String,
    /// What it takes in a prompt, about.
    pub(crate) tokens: u32,
    owner: Owner,
    words: Words,
    value: Value,
}

type Glossary = BTreeMap<String, String>;

/// Every word, in the order in which they are shown.
pub(crate) fn words(scene: &Scene, vocabulary: &mut Vocabulary) -> Vec<Word> {
    let none = Glossary::new();
    let settled = &scene.overrides.glossary;
    let source = scene.source.as_ref().map_or(&none, |party| &party.descriptor.context.glossary);
    let target = scene.target.as_ref().map_or(&none, |party| &party.descriptor.context.glossary);
    let open = |(term, _): &(&String, &String)| !settled.contains_key(*term);
    let mut words = Vec::new();
    let mut word = |term: &str, owner, meanings: &[&str], value| {
        let tokens =
            meanings.iter().map(|text| estimate_tokens(text)).sum::<u32>() + estimate_tokens(term) + 2;
        words.push(Word { term: term.to_owned(), tokens, owner, words: vocabulary.add([(1, term)]), value });
    };
    for (term, meaning) in settled {
        word(
            term,
            Owner::Conversation,
            &[meaning],
            context! { term => line(term), meaning => line(meaning) },
        );
    }
    for (term, ours) in source.iter().filter(open) {
        if let Some(theirs) = target.get(term).filter(|theirs| *theirs != ours) {
            let value =
                context! { term => line(term), source_meaning => line(ours), target_meaning => line(theirs) };
            word(term, Owner::Both, &[ours, theirs], value);
        }
    }
    let near_source = Nearness::new(source, target);
    for (term, meaning) in target.iter().filter(open).filter(|(term, _)| !source.contains_key(*term)) {
        let near = near_source.to(term, meaning);
        word(
            term,
            Owner::Target,
            &[meaning],
            context! { term => line(term), meaning => line(meaning), near => line(&near) },
        );
    }
    let near_target = Nearness::new(target, source);
    for (term, meaning) in source.iter().filter(open) {
        if target.get(term).is_none_or(|theirs| theirs == meaning) {
            let near = near_target.to(term, meaning);
            word(
                term,
                Owner::Source,
                &[meaning],
                context! { term => line(term), meaning => line(meaning), near => line(&near) },
            );
        }
    }
    words
}

/// The places of the words that may be left out: first those that the question does not have, then the others; each
/// from the end.
pub(crate) fn least_relevant_first(words: &[Word], hits: &Hits) -> (Vec<usize>, Vec<usize>) {
    let open = (0..words.len()).rev().filter(|at| words[*at].owner != Owner::Conversation);
    open.partition(|at| !words[*at].words.all_in(hits))
}

/// The glossary as a template sees it, without the words that are gone; none when none is left.
pub(crate) fn value(words: &[Word], gone: &BTreeSet<usize>) -> Value {
    let left = || words.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, word)| word);
    if left().next().is_none() {
        return Value::from(());
    }
    let of =
        |owner| left().filter(|word| word.owner == owner).map(|word| word.value.clone()).collect::<Vec<_>>();
    context! {
        settled => of(Owner::Conversation),
        both => of(Owner::Both),
        target => of(Owner::Target),
        source => of(Owner::Source),
    }
}

/// Which words of one glossary another's entry is near to.
struct Nearness {
    vocabulary: Vocabulary,
    words: Vec<(String, Words)>,
}

impl Nearness {
    /// Entries whose meanings are compared with every entry of the other glossary; more would take quadratic time.
    const MOST: usize = 200;

    /// The words that are one glossary's and not the other's.
    fn new(glossary: &Glossary, other: &Glossary) -> Self {
        let mut vocabulary = Vocabulary::default();
        let own = glossary.keys().filter(|term| !other.contains_key(*term)).take(Self::MOST);
        let words = own.map(|term| (term.clone(), vocabulary.add([(1, term.as_str())]))).collect();
        Self { vocabulary, words }
    }

    /// Up to two words that the entry's meaning uses, joined.
    fn to(&self, term: &str, meaning: &str) -> String {
        let hits = self.vocabulary.hits(meaning);
        let near = self.words.iter().filter(|(other, words)| other != term && words.all_in(&hits));
        near.take(2).map(|(other, _)| other.as_str()).collect::<Vec<_>>().join(", ")
    }
}
