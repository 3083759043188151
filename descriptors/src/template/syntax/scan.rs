//! Measures the tags of a body before anything recursive reads it: enough of minijinja's lexer to know where tags,
//! strings, comments and `raw` end.

/// The line, from 1, of the first `{{ }}` or `{% %}` with more than `most` tokens.
pub(super) fn tag_over(body: &str, most: usize) -> Option<u32> {
    let mut at = 0;
    while let Some(start) = body[at..].find('{').map(|found| at + found) {
        let inside = start + 2;
        let tag = match body.as_bytes().get(start + 1) {
            Some(b'#') => {
                at = body[inside..].find("#}").map_or(body.len(), |end| inside + end + 2);
                continue;
            }
            Some(b'{') => measure(body, inside, "}}"),
            Some(b'%') => measure(body, inside, "%}"),
            _ => {
                at = start + 1;
                continue;
            }
        };
        if tag.tokens > most {
            return u32::try_from(1 + body[..start].matches('\n').count()).ok();
        }
        at = if tag.tokens == 1 && tag.first == "raw" { end_of_raw(body, tag.end) } else { tag.end };
    }
    None
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
