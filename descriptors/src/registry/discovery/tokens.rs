//! Words of a text, as they are compared: lower-case, split where names are split, plurals folded. Knows no language;
//! the folding is light enough to do no harm to others than English.

/// Longest token, in bytes; what is longer is no word.
const LONGEST: usize = 64;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// What is compared.
    pub(super) folded: String,
    /// The word as it stands, in lower case.
    pub(super) surface: String,
    /// Whether the text ends in this word, so that it may go on.
    pub(super) open: bool,
}

/// The words of two or more characters, in their order. A word in camel case gives its parts, then itself as a whole.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = Token> + '_ {
    words(text).filter(|token| token.surface.chars().nth(1).is_some())
}

/// As [`tokens`], with words of one character.
pub(super) fn words(text: &str) -> impl Iterator<Item = Token> + '_ {
    let end = text.as_ptr() as usize + text.len();
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).flat_map(move |word| {
        let open = word.as_ptr() as usize + word.len() == end;
        let mut parts = camel(word);
        if parts.len() == 1 {
            parts.clear();
        }
        let last = parts.len().wrapping_sub(1);
        let parts: Vec<Token> = parts
            .into_iter()
            .enumerate()
            .map(|(at, part)| (part, open && at == last))
            .chain([(word, open)])
            .filter(|(part, _)| part.len() <= LONGEST)
            .map(|(part, open)| {
                let surface = part.to_lowercase();
                Token { folded: fold(&surface), surface, open }
            })
            .collect();
        parts
    })
}

/// A lower-case word without its plural. Not a stem for reading: what matters is that both numbers give the same.
pub(super) fn fold(word: &str) -> String {
    let mut folded = word;
    if word.len() >= 4 && !["ss", "us", "is"].iter().any(|end| word.ends_with(end)) {
        folded = word.strip_suffix('s').unwrap_or(word);
    }
    if folded.len() >= 4 {
        if let Some(stem) = folded.strip_suffix("ie").filter(|stem| stem.len() >= 3) {
            return format!("{stem}y"); // queries, cookie
        }
        if ["che", "she", "sse", "xe", "ze"].iter().any(|end| folded.ends_with(end)) {
            folded = &folded[..folded.len() - 1]; // matches, classes, boxes; caches as cache
        }
    }
    folded.to_owned()
}

/// The parts of a word in camel case: `runAql` is run and Aql, `HTTPServer` HTTP and Server; `PDFs` stays whole.
fn camel(word: &str) -> Vec<&str> {
    if !word.chars().skip(1).any(char::is_uppercase) {
        return vec![word];
    }
    let chars: Vec<(usize, char)> = word.char_indices().collect();
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 1..chars.len() {
        let (before, (offset, here)) = (chars[at - 1].1, chars[at]);
        let after = chars.get(at + 1).map(|(_, c)| *c);
        let plural = after == Some('s') && at + 2 == chars.len();
        let begins = here.is_uppercase()
            && (!before.is_uppercase() || (after.is_some_and(char::is_lowercase) && !plural));
        if begins {
            parts.push(&word[start..offset]);
            start = offset;
        }
    }
    parts.push(&word[start..]);
    parts
}

/// Whether two words differ by one edit: a character more, less or another, or two neighbours swapped.
pub(super) fn one_edit(one: &str, other: &str) -> bool {
    if one.len().abs_diff(other.len()) > 4 || one == other {
        return false;
    }
    let common = |one: &str, other: &str| -> usize {
        one.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
    };
    let same = common(one, other);
    let (one, other) = (&one[same..], &other[same..]);
    let (mut a, mut b) = (one.chars(), other.chars());
    let (first_a, first_b) = (a.next(), b.next());
    let (rest_a, rest_b) = (a.as_str(), b.as_str());
    if rest_a == rest_b || one == rest_b || rest_a == other {
        return true;
    }
    let (second_a, second_b) = (a.next(), b.next());
    first_a.is_some() && first_a == second_b && second_a == first_b && a.as_str() == b.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> Vec<String> {
        tokens(text).map(|token| token.folded).collect()
    }

    #[test]
    fn names_are_split_as_people_read_them() {
        assert_eq!(folded("run_aql-query"), ["run", "aql", "query"]);
        assert_eq!(folded("runAql"), ["run", "aql", "runaql"]);
        assert_eq!(folded("HTTPServer"), ["http", "server", "httpserver"]);
        assert_eq!(folded("ArangoDB, a database"), ["arango", "db", "arangodb", "database"]);
        assert_eq!(folded("PDFs"), ["pdf"]);
    }

    #[test]
    fn both_numbers_of_a_word_are_the_same() {
        for (one, many) in [
            ("graph", "graphs"),
            ("query", "queries"),
            ("match", "matches"),
            ("cache", "caches"),
            ("database", "databases"),
            ("class", "classes"),
            ("process", "processes"),
            ("index", "indexes"),
            ("box", "boxes"),
            ("size", "sizes"),
            ("movie", "movies"),
        ] {
            assert_eq!(fold(one), fold(many), "{one}");
        }
        for word in ["status", "analysis", "gas", "is", "bus"] {
            assert!(word.starts_with(&fold(word)), "{word}");
        }
    }

    #[test]
    fn only_the_last_word_is_open() {
        let open = |text: &str| -> Vec<String> {
            tokens(text).filter(|token| token.open).map(|token| token.surface).collect()
        };
        assert_eq!(open("graph que"), ["que"]);
        assert_eq!(open("graph que "), Vec::<String>::new());
        assert_eq!(open("runAq"), ["aq", "runaq"]);
    }

    #[test]
    fn one_edit_is_one_and_not_two() {
        for other in
            ["arangodb", "rangodb", "arangdb", "aarangodb", "arangodbs", "arangobd", "erangodb", "arnagodb"]
        {
            assert_eq!(one_edit("arangodb", other), other != "arangodb", "{other}");
            assert_eq!(one_edit(other, "arangodb"), other != "arangodb", "{other}");
        }
        for other in ["arang", "angodb", "arangobdd", "aragndob", "", "größe"] {
            assert!(!one_edit("arangodb", other), "{other}");
            assert!(!one_edit(other, "arangodb"), "{other}");
        }
        assert!(one_edit("größe", "grösse") == (strsim::osa_distance("größe", "grösse") == 1));
        assert!(one_edit("größe", "große"));
    }

    proptest::proptest! {
        #[test]
        fn one_edit_agrees_with_the_distance(one in "[abä]{0,6}", other in "[abä]{0,6}") {
            proptest::prop_assert_eq!(one_edit(&one, &other), strsim::osa_distance(&one, &other) == 1);
        }
    }
}
