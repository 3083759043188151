//! Ranking by words (BM25F): how well each module fits a text, and which of the text's words it has. Reads the index.

use std::ops::Bound;

use super::fields;
use super::index::{DocumentId, Index, Posting};
use super::tokens::{Token, one_edit, tokens, words};
use crate::Descriptor;

/// Most words of a text that are looked up.
const WORDS: usize = 32;

/// From which weight on another occurrence hardly adds (BM25's k1).
const SATURATION: f64 = 1.2;

/// What a word is worth that only begins as the one sought, beside one that is the same; up to `PREFIX + COVERED` when
/// nearly all of it was given.
const PREFIX: f32 = 0.4;
const COVERED: f32 = 0.4;

/// What a word is worth that is one edit away.
const NEAR_MISS: f32 = 0.5;

/// Shortest word, in characters, that is forgiven an edit.
const FORGIVEN: usize = 5;

/// A text, looked up.
pub(super) struct Ranked<'a> {
    /// By document; 0 where no word fits.
    pub(super) scores: Vec<f64>,
    sought: Vec<Sought<'a>>,
}

/// A word of the text.
struct Sought<'a> {
    surface: String,
    /// Words of the index that only resemble it.
    alike: Vec<&'a str>,
    /// By document: 0 without the word, 1 with it, from 2 on with a word of `alike`.
    via: Vec<u32>,
    /// Whether nobody has the word, and words one edit away stand for it.
    forgiven: bool,
}

const ABSENT: u32 = 0;
const SAME: u32 = 1;

impl<'a> Ranked<'a> {
    /// Looks up a text.
    pub(super) fn new(index: &'a Index, text: &str) -> Self {
        let mut scores = vec![0.0; index.capacity()];
        let sought = distinct(text).into_iter().map(|token| look_up(index, token, &mut scores)).collect();
        Self { scores, sought }
    }

    /// The words that stand for those taken for slips.
    pub(super) fn corrections(&self) -> impl Iterator<Item = &'a str> {
        self.sought.iter().filter(|sought| sought.forgiven).flat_map(|sought| sought.alike.iter().copied())
    }

    /// The words by which a document was found: the text's, or where those only resemble them, its own.
    pub(super) fn matched(&self, document: DocumentId, descriptor: &Descriptor) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for sought in &self.sought {
            let word = match sought.via[document as usize] {
                ABSENT => continue,
                SAME => sought.surface.clone(),
                via => {
                    let folded = sought.alike[via as usize - 2];
                    fields::surface(descriptor, folded).unwrap_or_else(|| folded.to_owned())
                }
            };
            if !found.contains(&word) {
                found.push(word);
            }
        }
        found
    }
}

/// The words of a text, each once. A text of letters alone, such as `r`, is taken as the beginning of something.
fn distinct(text: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    let mut keep = |token: Token| {
        if let Some(same) = found.iter_mut().find(|seen| seen.folded == token.folded) {
            same.open |= token.open;
        } else if found.len() < WORDS {
            found.push(token);
        }
    };
    tokens(text).for_each(&mut keep);
    if found.is_empty() {
        found.extend(words(text).last());
    }
    found
}

/// Adds a word's share to the scores.
fn look_up<'a>(index: &'a Index, token: Token, scores: &mut [f64]) -> Sought<'a> {
    let mut best = vec![0.0_f64; scores.len()];
    let mut via = vec![ABSENT; scores.len()];

    if let Some(postings) = index.words.get(token.folded.as_str()) {
        let rarity = rarity(index, postings.len());
        for posting in postings {
            best[posting.document as usize] = rarity * saturated(posting.weight);
            via[posting.document as usize] = SAME;
        }
    }
    let same = via.contains(&SAME);
    let mut alike = if token.open { beginnings(index, &token.folded) } else { Vec::new() };
    let mut forgiven = false;
    if !same && alike.is_empty() {
        alike = near_misses(index, &token.folded);
        forgiven = !alike.is_empty();
    }

    // How common a beginning is, is the question of how many modules have any word of it: else the rarest would win.
    let mut shares = vec![0.0_f64; if alike.is_empty() { 0 } else { scores.len() }];
    let mut through = vec![ABSENT; shares.len()];
    let mut having = 0;
    for (at, (_, postings, worth)) in (2..).zip(&alike) {
        for posting in *postings {
            let (share, through) =
                (&mut shares[posting.document as usize], &mut through[posting.document as usize]);
            having += usize::from(*through == ABSENT);
            let worth = f64::from(*worth) * saturated(posting.weight);
            if worth > *share {
                (*share, *through) = (worth, at);
            }
        }
    }
    let rarity = rarity(index, having);
    for (document, share) in shares.into_iter().enumerate() {
        if share * rarity > best[document] {
            best[document] = share * rarity;
            if via[document] == ABSENT {
                via[document] = through[document];
            }
        }
    }
    for (score, best) in scores.iter_mut().zip(best) {
        *score += best;
    }
    let alike = alike.into_iter().map(|(word, _, _)| word).collect();
    Sought { surface: token.surface, alike, via, forgiven }
}

/// A word of the index, where it stands, and what it is worth.
type Alike<'a> = (&'a str, &'a [Posting], f32);

/// The words that begin so, without the word itself.
fn beginnings<'a>(index: &'a Index, prefix: &str) -> Vec<Alike<'a>> {
    index
        .words
        .range::<str, _>((Bound::Excluded(prefix), Bound::Unbounded))
        .take_while(|(word, _)| word.starts_with(prefix))
        .map(|(word, postings)| {
            (&**word, postings.as_slice(), PREFIX + COVERED * prefix.len() as f32 / word.len() as f32)
        })
        .collect()
}

/// The words one edit away, in order. Only words with the same first character are all looked at; where the edit is in
/// the first one, the rest is known, and there are but as many words to look for as there are first characters.
fn near_misses<'a>(index: &'a Index, sought: &str) -> Vec<Alike<'a>> {
    let mut chars = sought.chars();
    let (Some(first), Some(second)) = (chars.next(), chars.next()) else { return Vec::new() };
    if sought.chars().count() < FORGIVEN {
        return Vec::new();
    }
    let (rest, after) = (&sought[first.len_utf8()..], chars.as_str());
    let mut guesses = vec![rest.to_owned(), format!("{second}{first}{after}")];
    let mut next = index.words.keys().next();
    while let Some(initial) = next.and_then(|word| word.chars().next()) {
        guesses.extend([format!("{initial}{rest}"), format!("{initial}{sought}")]);
        let following = (initial..=char::MAX).nth(1).map(String::from);
        next = following.and_then(|from| {
            Some(index.words.range::<str, _>((Bound::Included(from.as_str()), Bound::Unbounded)).next()?.0)
        });
    }

    let initial = first.to_string();
    let mut found: Vec<Alike<'a>> = index
        .words
        .range::<str, _>((Bound::Included(initial.as_str()), Bound::Unbounded))
        .take_while(|(word, _)| word.starts_with(first))
        .chain(guesses.iter().filter_map(|guess| index.words.get_key_value(guess.as_str())))
        .filter(|(word, _)| one_edit(word, sought))
        .map(|(word, postings)| (&**word, postings.as_slice(), NEAR_MISS))
        .collect();
    found.sort_unstable_by_key(|(word, _, _)| *word);
    found.dedup_by_key(|(word, _, _)| *word);
    found
}

/// A word counts the more the fewer modules have it (BM25's inverse document frequency); always above 0.
fn rarity(index: &Index, having: usize) -> f64 {
    let (all, having) = (index.len() as f64, having as f64);
    (1.0 + (all - having + 0.5) / (having + 0.5)).ln()
}

/// From 0 to 1.
fn saturated(weight: f32) -> f64 {
    let weight = f64::from(weight);
    weight / (SATURATION + weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_word_one_edit_away_is_found_and_no_other(
            words in proptest::collection::btree_set("[abäz]{4,6}", 0..40),
            sought in "[abäz]{5,6}",
        ) {
            let mut index = Index::default();
            index.words.extend(words.iter().map(|word| (word.as_str().into(), Vec::new())));
            let expected: Vec<&str> = words.iter().map(String::as_str).filter(|word| one_edit(word, &sought)).collect();
            let found: Vec<&str> = near_misses(&index, &sought).into_iter().map(|(word, _, _)| word).collect();
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
