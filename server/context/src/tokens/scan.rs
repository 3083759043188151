//! One pass over a text that counts pieces by kind and length. What a piece weighs is in the weights.

/// How many kinds of pieces are told apart.
pub(super) const COUNT: usize = 51;

// Words of ASCII letters, by length: after a space, elsewhere, in capitals, beside digits.
const LENGTHS: usize = 9;
const SPACED: usize = 0;
const BARE: usize = SPACED + LENGTHS;
const CAPITALS: usize = BARE + LENGTHS;
/// Letters beside digits, as in hashes, and their count.
const CODE_RUNS: usize = CAPITALS + LENGTHS;
const CODE_CHARS: usize = CODE_RUNS + 1;
/// Letters past the longest length of the tables.
const LONG_CHARS: usize = CODE_CHARS + 1;
const DIGIT_RUNS: usize = LONG_CHARS + 1;
const DIGIT_CHARS: usize = DIGIT_RUNS + 1;
/// Punctuation: runs of one, of two, of three and more, characters past the third, repeated ones.
const MARKS: usize = DIGIT_CHARS + 1;
const MARKS_BEYOND: usize = MARKS + 3;
const MARKS_REPEATED: usize = MARKS_BEYOND + 1;
/// White space: line ends, indents, their characters past the eighth, runs of blanks inside a line.
const LINE_ENDS: usize = MARKS_REPEATED + 1;
const INDENTS: usize = LINE_ENDS + 1;
const INDENT_CHARS: usize = INDENTS + 1;
const BLANKS: usize = INDENT_CHARS + 1;
/// Characters beyond ASCII, by script, and runs of Latin ones.
const LATIN: usize = BLANKS + 1;
const CYRILLIC: usize = LATIN + 1;
const OTHER_TWO: usize = CYRILLIC + 1;
const KANA: usize = OTHER_TWO + 1;
const HAN: usize = KANA + 1;
const HANGUL: usize = HAN + 1;
const WIDE_MARKS: usize = HANGUL + 1;
const TYPOGRAPHY: usize = WIDE_MARKS + 1;
const OTHER_THREE: usize = TYPOGRAPHY + 1;
const FOUR: usize = OTHER_THREE + 1;
const _: () = assert!(FOUR + 1 == COUNT, "every kind has its place");

/// The longest word of the tables: lengths 1-2, 3, 4, 5, 6, 7, 8, 9-10, 11 and more.
const LENGTH_KIND: [u8; 12] = [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 7, 8];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    Blank,
    LineEnd,
    Mark,
    Wide,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Mark; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' => Class::Lower,
            b'A'..=b'Z' => Class::Upper,
            b'0'..=b'9' => Class::Digit,
            b' ' | b'\t' => Class::Blank,
            b'\n' | b'\r' => Class::LineEnd,
            0x80..=0xff => Class::Wide,
            _ => Class::Mark,
        };
        byte += 1;
    }
    classes
};

/// How often each kind of piece occurs.
pub(super) struct Features {
    pub(super) counts: [u64; COUNT],
}

impl Features {
    pub(super) fn of(text: &str) -> Self {
        let mut features = Self { counts: [0; COUNT] };
        features.scan(text.as_bytes());
        features
    }

    fn scan(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at = match CLASSES[usize::from(byte)] {
                Class::Lower | Class::Upper => self.letters(bytes, at),
                Class::Digit => {
                    let end = run(bytes, at, |class| class == Class::Digit);
                    self.add(DIGIT_RUNS, 1);
                    self.add(DIGIT_CHARS, end - at);
                    end
                }
                Class::Blank => {
                    let end = run(bytes, at, |class| class == Class::Blank);
                    // One space before a word is part of it.
                    if end - at > 1 {
                        self.add(BLANKS, 1);
                    }
                    end
                }
                Class::LineEnd => {
                    let lines = run(bytes, at, |class| class == Class::LineEnd);
                    let end = run(bytes, lines, |class| class == Class::Blank);
                    self.add(LINE_ENDS, 1);
                    if end > lines {
                        self.add(INDENTS, 1);
                        self.add(INDENT_CHARS, (end - lines).saturating_sub(8));
                    }
                    end
                }
                Class::Mark => self.marks(bytes, at),
                Class::Wide => self.wide(bytes, at),
            };
        }
    }

    /// Letters up to the next change from small to capital.
    fn letters(&mut self, bytes: &[u8], at: usize) -> usize {
        let capitals = run(bytes, at, |class| class == Class::Upper);
        let end =
            if capitals - at > 1 { capitals } else { run(bytes, capitals, |class| class == Class::Lower) };
        let length = end - at;
        let before = at.checked_sub(1).map(|before| bytes[before]);
        let coded = before.is_some_and(|byte| byte.is_ascii_digit())
            || bytes.get(end).is_some_and(u8::is_ascii_digit);
        if coded {
            self.add(CODE_RUNS, 1);
            self.add(CODE_CHARS, length);
            return end;
        }
        let table = if capitals - at > 1 {
            CAPITALS
        } else if before == Some(b' ') {
            SPACED
        } else {
            BARE
        };
        self.add(table + usize::from(LENGTH_KIND[length.min(11)]), 1);
        self.add(LONG_CHARS, length.saturating_sub(11));
        end
    }

    fn marks(&mut self, bytes: &[u8], at: usize) -> usize {
        let end = run(bytes, at, |class| class == Class::Mark);
        let length = end - at;
        let same = |length: usize| {
            if length < 4 { 0 } else { bytes[at..end].windows(2).filter(|pair| pair[0] == pair[1]).count() }
        };
        let repeated = 1 + same(length);
        if repeated > 3 {
            self.add(MARKS_REPEATED, repeated);
            self.add(MARKS_BEYOND, length - repeated);
        } else {
            self.add(MARKS + length.min(3) - 1, 1);
            self.add(MARKS_BEYOND, length.saturating_sub(3));
        }
        end
    }

    /// One character beyond ASCII. The text is UTF-8, so its first byte tells its length.
    fn wide(&mut self, bytes: &[u8], at: usize) -> usize {
        let first = bytes[at];
        let second = bytes.get(at + 1).copied().unwrap_or(0x80);
        let (kind, length) = match first {
            ..=0xcb => (LATIN, 2),
            0xd0..=0xd3 => (CYRILLIC, 2),
            0xcc..=0xcf | 0xd4..=0xdf => (OTHER_TWO, 2),
            0xe2 if second <= 0x81 => (TYPOGRAPHY, 3),
            0xe3 if second == 0x80 => (WIDE_MARKS, 3),
            0xe3 if second <= 0x83 => (KANA, 3),
            0xe4..=0xe9 => (HAN, 3),
            0xea..=0xed => (HANGUL, 3),
            0xef if second >= 0xbc => (WIDE_MARKS, 3),
            0xe0..=0xef => (OTHER_THREE, 3),
            _ => (FOUR, 4),
        };
        self.add(kind, 1);
        at + length
    }

    fn add(&mut self, kind: usize, count: usize) {
        self.counts[kind] += count as u64;
    }
}

#[inline(always)]
fn run(bytes: &[u8], from: usize, belongs: impl Fn(Class) -> bool) -> usize {
    let mut end = from;
    while end < bytes.len() && belongs(CLASSES[usize::from(bytes[end])]) {
        end += 1;
    }
    end
}
