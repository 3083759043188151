//! A short text that a regular expression matches: its first alternatives, each part as often as it must be. Reads
//! what schemas usually hold; of look-around, back-references and flags it makes nothing.

use std::iter::Peekable;
use std::str::Chars;

/// Most bytes of a text.
const MAX_BYTES: usize = 64 * 1024;
/// How deep groups may be.
const MAX_DEPTH: usize = 32;

/// A text that the pattern matches, each of its repeated parts `extra` times more often than it must be.
pub(super) fn matching(pattern: &str, extra: usize) -> Option<String> {
    let mut reader = Reader { chars: pattern.chars().peekable(), extra, depth: 0 };
    let text = reader.alternatives()?;
    reader.chars.next().is_none().then_some(text)
}

struct Reader<'p> {
    chars: Peekable<Chars<'p>>,
    extra: usize,
    depth: usize,
}

/// Characters that a class holds, from and to.
type Ranges = Vec<(char, char)>;

impl Reader<'_> {
    fn alternatives(&mut self) -> Option<String> {
        let first = self.sequence()?;
        while self.chars.next_if_eq(&'|').is_some() {
            self.sequence()?;
        }
        Some(first)
    }

    fn sequence(&mut self) -> Option<String> {
        let mut text = String::new();
        while self.chars.peek().is_some_and(|next| !matches!(next, '|' | ')')) {
            let atom = self.atom()?;
            let (least, most) = self.quantifier();
            let times = if least == most { least } else { least.saturating_add(self.extra).min(most) };
            if text.len() + atom.len().checked_mul(times)? > MAX_BYTES {
                return None;
            }
            text.push_str(&atom.repeat(times));
        }
        Some(text)
    }

    /// How often what was read has to be there: at least, at most.
    fn quantifier(&mut self) -> (usize, usize) {
        let counts = match self.chars.peek() {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            Some('{') => {
                let Some((counts, after)) = braces(self.chars.clone()) else { return (1, 1) };
                self.chars = after;
                return self.greedy(counts);
            }
            _ => return (1, 1),
        };
        self.chars.next();
        self.greedy(counts)
    }

    /// Passes over the mark of a lazy quantifier.
    fn greedy(&mut self, counts: (usize, usize)) -> (usize, usize) {
        self.chars.next_if_eq(&'?');
        counts
    }

    fn atom(&mut self) -> Option<String> {
        let one = match self.chars.next()? {
            '(' => return self.group(),
            '[' => self.class()?,
            '\\' => return self.escape(),
            '^' | '$' => return Some(String::new()),
            '.' => 's',
            '*' | '+' | '?' => return None,
            other => other,
        };
        Some(one.to_string())
    }

    fn group(&mut self) -> Option<String> {
        if self.chars.next_if_eq(&'?').is_some() {
            self.chars.next_if_eq(&'P');
            match self.chars.next()? {
                ':' => {}
                '<' => {
                    let name: String = self.chars.by_ref().take_while(|next| *next != '>').collect();
                    if name.starts_with(['=', '!']) {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let text = self.alternatives()?;
        self.depth -= 1;
        self.chars.next_if_eq(&')').map(|_| text)
    }

    fn escape(&mut self) -> Option<String> {
        Some(match self.chars.next()? {
            'b' | 'B' | 'A' | 'z' | 'Z' => String::new(),
            'p' => self.property()?.0.to_string(),
            letter => pick(&shorthand(letter)?, false)?.to_string(),
        })
    }

    /// A property of Unicode, by the few names that are usual.
    fn property(&mut self) -> Option<(char, char)> {
        let name: String = match self.chars.next()? {
            '{' => self.chars.by_ref().take_while(|next| *next != '}').collect(),
            letter => letter.to_string(),
        };
        match name.as_str() {
            "L" | "Ll" | "Letter" | "Alphabetic" => Some(('s', 's')),
            "Lu" => Some(('S', 'S')),
            "N" | "Nd" | "Number" => Some(('0', '9')),
            _ => None,
        }
    }

    /// A character of a class, its opening bracket read.
    fn class(&mut self) -> Option<char> {
        let negated = self.chars.next_if_eq(&'^').is_some();
        let mut ranges = Ranges::new();
        loop {
            let from = match self.chars.next()? {
                ']' => return pick(&ranges, negated),
                // A class within a class, which is not everywhere one.
                '[' if self.chars.peek() == Some(&':') => return None,
                '\\' => match self.chars.next()? {
                    'p' => {
                        ranges.push(self.property()?);
                        continue;
                    }
                    letter => match shorthand(letter)?.as_slice() {
                        [(from, to)] if from == to => *from,
                        several => {
                            ranges.extend(several);
                            continue;
                        }
                    },
                },
                other => other,
            };
            let mut ahead = self.chars.clone();
            if ahead.next() == Some('-') && ahead.next().is_some_and(|to| to != ']') {
                self.chars.next();
                let to = match self.chars.next()? {
                    '\\' => shorthand(self.chars.next()?)?.first()?.0,
                    other => other,
                };
                ranges.push((from, to));
            } else {
                ranges.push((from, from));
            }
        }
    }
}

/// What stands in braces as a quantifier, and what follows it; none if it is no quantifier.
fn braces(mut chars: Peekable<Chars<'_>>) -> Option<((usize, usize), Peekable<Chars<'_>>)> {
    chars.next_if_eq(&'{')?;
    let inside: String = chars.by_ref().take_while(|next| *next != '}').collect();
    let counts = match inside.split_once(',') {
        None => {
            let count = inside.parse().ok()?;
            (count, count)
        }
        Some((least, "")) => (least.parse().ok()?, usize::MAX),
        Some((least, most)) => (least.parse().ok()?, most.parse().ok()?),
    };
    Some((counts, chars))
}

/// What a backslash and this character mean; of the sets that leave something out, a part.
fn shorthand(letter: char) -> Option<Ranges> {
    Some(match letter {
        'd' => vec![('0', '9')],
        'w' => vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')],
        's' => vec![(' ', ' '), ('\t', '\r')],
        'D' => vec![('a', 'z'), ('A', 'Z')],
        'W' => vec![('-', '-'), (' ', ' ')],
        'S' => vec![('!', '~')],
        'n' => vec![('\n', '\n')],
        'r' => vec![('\r', '\r')],
        't' => vec![('\t', '\t')],
        other if other.is_ascii_alphanumeric() => return None,
        other => vec![(other, other)],
    })
}

/// A character that is in the ranges, or in none of them.
fn pick(ranges: &[(char, char)], negated: bool) -> Option<char> {
    let within = |one: &char| ranges.iter().any(|(from, to)| (from..=to).contains(&one));
    let usual = ['s', 'S', '0', '-', '_', ' ', 'é'];
    if negated {
        return usual.into_iter().find(|one| !within(one));
    }
    usual.into_iter().find(within).or(ranges.first().map(|range| range.0))
}
