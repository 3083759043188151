//! Names that resemble a name, for "did you mean". Knows strings only.

/// Longest name that is looked at, in bytes; module names end at 63.
const LONGEST: usize = 128;

/// Least Jaro-Winkler similarity of a slip of the pen.
const SIMILAR: f64 = 0.82;

/// At most `n` of `names` that resemble `name`, the nearest first.
pub(super) fn nearest<'a>(names: impl Iterator<Item = &'a str>, name: &str, n: usize) -> Vec<String> {
    if n == 0 || name.is_empty() || name.len() > LONGEST {
        return Vec::new();
    }
    let sought = Sought::new(name);
    let mut candidates: Vec<(f64, &str)> = names
        .filter(|candidate| *candidate != name)
        .map(|candidate| (sought.bound(candidate), candidate))
        .filter(|(bound, _)| *bound >= SIMILAR)
        .collect();
    candidates.sort_unstable_by(|one, other| other.0.total_cmp(&one.0));

    // Most promising first: once `n` are better than any that is left can be, the rest need no look.
    let mut found: Vec<(f64, &str)> = Vec::new();
    for (bound, candidate) in candidates {
        if found.len() == n && bound < found[n - 1].0 {
            break;
        }
        if let Some(similarity) = sought.similarity(candidate) {
            let place = found.partition_point(|(best, name)| {
                best.total_cmp(&similarity).reverse().then_with(|| name.cmp(&candidate)).is_lt()
            });
            found.insert(place, (similarity, candidate));
            found.truncate(n);
        }
    }
    found.into_iter().map(|(_, candidate)| candidate.to_owned()).collect()
}

struct Sought {
    spelling: String,
    /// How often each byte (of the low seven bits) occurs.
    bag: [u8; 128],
}

impl Sought {
    fn new(name: &str) -> Self {
        let spelling = spelling(name);
        let mut bag = [0; 128];
        for byte in spelling.bytes() {
            // At most LONGEST of them.
            bag[usize::from(byte & 127)] += 1;
        }
        Self { spelling, bag }
    }

    /// Between 0 and 1; none where there is no resemblance worth a word.
    fn similarity(&self, candidate: &str) -> Option<f64> {
        let candidate = spelling(candidate);
        let (one, other) = (self.spelling.as_str(), candidate.as_str());
        if one == other {
            return Some(1.0);
        }
        let best = parts(one, other).max(strsim::jaro_winkler(one, other));
        (best >= SIMILAR).then_some(best)
    }

    /// No similarity to `candidate` can exceed this. Much cheaper than the similarity, it spares most names it.
    fn bound(&self, candidate: &str) -> f64 {
        let mut left = self.bag;
        let mut common = 0_usize;
        for byte in candidate.bytes().map(spelled) {
            let count = &mut left[usize::from(byte & 127)];
            common += usize::from(*count > 0);
            *count = count.saturating_sub(1);
        }
        let (one, other) = (self.spelling.len() as f64, candidate.len().max(1) as f64);
        let jaro = (common as f64 / one + common as f64 / other + 1.0) / 3.0;
        let same = |(one, other): &(u8, u8)| *one == spelled(*other);
        let prefix = self.spelling.bytes().zip(candidate.bytes()).take(4).take_while(same).count();
        let winkler = jaro + 0.1 * prefix as f64 * (1.0 - jaro);
        // All of the shorter one's bytes are common where it is a part of the longer one.
        if common as f64 >= one.min(other) {
            winkler.max(part(BEGINNING, one.min(other), one.max(other)))
        } else {
            winkler
        }
    }
}

/// What it is worth to be the beginning of the other, or some other part of it; and what to be nearly all of it.
const BEGINNING: f64 = 0.86;
const PART: f64 = 0.82;
const WHOLE: f64 = 0.12;

fn part(worth: f64, shorter: f64, longer: f64) -> f64 {
    worth + WHOLE * shorter / longer
}

/// The similarity of names of which one is a part of the other; 0 where it is not.
fn parts(one: &str, other: &str) -> f64 {
    let (shorter, longer) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let lengths = (shorter.len() as f64, longer.len() as f64);
    if shorter.len() >= 2 && longer.starts_with(shorter) {
        part(BEGINNING, lengths.0, lengths.1)
    } else if shorter.len() >= 3 && longer.contains(shorter) {
        part(PART, lengths.0, lengths.1)
    } else {
        0.0
    }
}

/// A byte of [`spelling`]; other than there, only of ASCII, as all names are.
fn spelled(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() }
}

/// A name in the one spelling that all are compared in.
fn spelling(name: &str) -> String {
    name.chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c == '-' || c.is_whitespace() { '_' } else { c })
        .collect()
}
