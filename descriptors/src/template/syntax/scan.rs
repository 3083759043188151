//! Finds the tags of a body that compiles, and their tokens: enough of minijinja's lexer to see which names are used
//! outside strings. Must not decide what is allowed.

/// A `{{ }}` or `{% %}`.
pub(super) struct Tag<'a> {
    /// The body's line on which it starts, from 1.
    pub(super) line: u32,
    /// Whether it is a `{% %}`.
    pub(super) statement: bool,
    pub(super) tokens: Vec<Token<'a>>,
}

pub(super) enum Token<'a> {
    /// A name or keyword.
    Word(&'a str),
    /// A string, unescaped.
    Text(String),
    /// One character of anything else that is no space.
    Mark(char),
}

/// The tags of a body, in order; comments and the insides of `raw` left out.
pub(super) fn tags(body: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(start) = body[at..].find('{').map(|found| at + found) {
        let line = 1 + u32::try_from(body[..start].matches('\n').count()).unwrap_or(u32::MAX - 1);
        let inside = start + 2;
        match body.as_bytes().get(start + 1) {
            Some(b'#') => at = body[inside..].find("#}").map_or(body.len(), |end| inside + end + 2),
            Some(b'{') => {
                let (tokens, end) = tokens(body, inside, "}}");
                tags.push(Tag { line, statement: false, tokens });
                at = end;
            }
            Some(b'%') => {
                let (tokens, end) = tokens(body, inside, "%}");
                let raw = matches!(tokens.as_slice(), [Token::Word("raw")]);
                tags.push(Tag { line, statement: true, tokens });
                at = if raw { end_of_raw(body, end) } else { end };
            }
            _ => at = start + 1,
        }
    }
    tags
}

fn tokens<'a>(body: &'a str, from: usize, close: &str) -> (Vec<Token<'a>>, usize) {
    let mut tokens = Vec::new();
    let mut depth = 0_usize;
    let mut at = from;
    // `{%-`, `{{+`: whitespace control, no operator.
    if body[at..].starts_with(['-', '+']) {
        at += 1;
    }
    while let Some(next) = body[at..].chars().next() {
        let rest = &body[at..];
        if depth == 0 {
            if rest.starts_with(close) {
                return (tokens, at + close.len());
            }
            if rest.starts_with(['-', '+']) && rest[1..].starts_with(close) {
                return (tokens, at + 1 + close.len());
            }
        }
        match next {
            '"' | '\'' => {
                let (text, length) = string(rest, next);
                tokens.push(Token::Text(text));
                at += length;
            }
            _ if next.is_alphabetic() || next == '_' => {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                tokens.push(Token::Word(&rest[..length]));
                at += length;
            }
            _ => {
                match next {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if !next.is_whitespace() {
                    tokens.push(Token::Mark(next));
                }
                at += next.len_utf8();
            }
        }
    }
    (tokens, body.len())
}

/// The string at the start of `rest`, and its length with quotes. Escapes other than of one character are left as they
/// are: names have none.
fn string(rest: &str, quote: char) -> (String, usize) {
    let mut text = String::new();
    let mut escaped = false;
    for (at, next) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
            text.push(next);
        } else if next == '\\' {
            escaped = true;
        } else if next == quote {
            return (text, at + 1);
        } else {
            text.push(next);
        }
    }
    (text, rest.len())
}

fn end_of_raw(body: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(start) = body[at..].find("{%").map(|found| at + found) {
        let (tokens, end) = tokens(body, start + 2, "%}");
        if matches!(tokens.as_slice(), [Token::Word("endraw")]) {
            return end;
        }
        at = start + 2;
    }
    body.len()
}
