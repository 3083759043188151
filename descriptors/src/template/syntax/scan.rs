//! Measures the tags of a body before anything recursive reads it: enough of minijinja's lexer to know where tags,
//! strings, comments and `raw` end. What minijinja bounds itself is not measured: statements within statements.

/// Most names, texts and signs in one `{{ }}` or `{% %}`.
const TAG_TOKENS: usize = 400;
/// Most `elif` before the `endif`s of all open `if`s. minijinja reads each as an `if` within the one before, and does
/// not count them as such.
const ELIFS: usize = 100;

/// What makes a body too deep to be read.
pub(super) struct Excess {
    /// The body's line, from 1.
    pub(super) line: u32,
    pub(super) message: String,
}

/// The first tag that makes a body too deep to be read.
pub(super) fn excess(body: &str) -> Option<Excess> {
    let line = |start: usize| u32::try_from(1 + body[..start].matches('\n').count()).unwrap_or(u32::MAX);
    let mut ifs = OpenIfs::default();
    let mut at = 0;
    while let Some(start) = body[at..].find('{').map(|found| at + found) {
        let inside = start + 2;
        let tag = match body.as_bytes().get(start + 1) {
            Some(b'#') => {
                at = body[inside..].find("#}").map_or(body.len(), |end| inside + end + 2);
                continue;
            }
            Some(b'{') => measure(body, inside, "}}"),
            Some(b'%') => {
                let tag = measure(body, inside, "%}");
                if ifs.elifs_after(tag.first) > ELIFS {
                    let message = format!(
                        "an `if` and those around it have at most {ELIFS} `elif` together; use a loop, or several `if`"
                    );
                    return Some(Excess { line: line(start), message });
                }
                tag
            }
            _ => {
                at = start + 1;
                continue;
            }
        };
        if tag.tokens > TAG_TOKENS {
            let message =
                format!("one `{{{{ }}}}` or `{{% %}}` has at most {TAG_TOKENS} names, texts and signs");
            return Some(Excess { line: line(start), message });
        }
        at = if tag.tokens == 1 && tag.first == "raw" { end_of_raw(body, tag.end) } else { tag.end };
    }
    None
}

/// The `if`s that are not closed, and how many `elif` each has.
#[derive(Default)]
struct OpenIfs {
    elifs: Vec<usize>,
    sum: usize,
}

impl OpenIfs {
    /// The `elif`s of all open `if`s after a statement that begins with this word.
    fn elifs_after(&mut self, word: &str) -> usize {
        match word {
            "if" => self.elifs.push(0),
            "elif" => {
                self.sum += 1;
                // Without an `if`, minijinja refuses it.
                if let Some(own) = self.elifs.last_mut() {
                    *own += 1;
                }
            }
            "endif" => self.sum -= self.elifs.pop().unwrap_or_default(),
            _ => {}
        }
        self.sum
    }
}

struct Measured<'a> {
    first: &'a str,
    tokens: usize,
    end: usize,
}

fn measure<'a>(body: &'a str, from: usize, close: &str) -> Measured<'a> {
    let mut tag = Measured { first: "", tokens: 0, end: body.len() };
    let mut depth = 0_usize;
    let mut at = from;
    // `{%-`, `{{+`: whitespace control, no operator.
    if body[at..].starts_with(['-', '+']) {
        at += 1;
    }
    while let Some(next) = body[at..].chars().next() {
        let rest = &body[at..];
        if depth == 0 {
            let after = rest.strip_prefix(['-', '+']).unwrap_or(rest);
            if after.starts_with(close) {
                tag.end = at + rest.len() - after.len() + close.len();
                return tag;
            }
        }
        if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        }
        let length = match next {
            '"' | '\'' => string(rest, next),
            _ if next.is_alphanumeric() || next == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            _ => {
                match next {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                next.len_utf8()
            }
        };
        if tag.tokens == 0 {
            tag.first = &rest[..length];
        }
        tag.tokens += 1;
        at += length;
    }
    tag
}

/// The length, with quotes, of the string at the start of `rest`.
fn string(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, next) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if next == '\\' {
            escaped = true;
        } else if next == quote {
            return at + 1;
        }
    }
    rest.len()
}

fn end_of_raw(body: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(start) = body[at..].find("{%").map(|found| at + found) {
        let inside = body[start + 2..].trim_start_matches(['-', '+']).trim_start();
        if let Some(rest) = inside.strip_prefix("endraw")
            && let rest = rest.trim_start().trim_start_matches(['-', '+'])
            && rest.starts_with("%}")
        {
            return body.len() - rest.len() + 2;
        }
        at = start + 2;
    }
    body.len()
}
