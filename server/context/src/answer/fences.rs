//! Fenced blocks of a Markdown text, as of CommonMark: three or more backticks or tildes, closed by at least as many.
//! Must not know what a block is for.

/// A fenced block that is in no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// The first word after the opening fence, in lower case; may be empty.
    pub(super) info: String,
    /// What is between the fences, line ends as they are.
    pub(super) content: &'a str,
    /// The text's line, from 1, on which the content starts.
    pub(super) line: usize,
}

struct Open {
    mark: u8,
    length: usize,
    info: String,
    start: usize,
    line: usize,
}

/// The blocks of a text, in order. The last one goes to the end of the text if nothing closes it.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Open> = None;
    let mut at = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let start = at;
        at += line.len();
        let Some((mark, length, rest)) = fence(line) else { continue };
        match &open {
            None => {
                // A backtick after the opening ones makes it code within a line.
                if mark == b'`' && rest.contains('`') {
                    continue;
                }
                let info = rest.split_whitespace().next().unwrap_or_default().to_lowercase();
                open = Some(Open { mark, length, info, start: at, line: number + 1 });
            }
            Some(of) if of.mark == mark && length >= of.length && rest.trim().is_empty() => {
                if let Some(Open { info, start: from, line, .. }) = open.take() {
                    blocks.push(Block { info, content: &text[from..start], line });
                }
            }
            Some(_) => {}
        }
    }
    if let Some(Open { info, start, line, .. }) = open {
        blocks.push(Block { info, content: &text[start..], line });
    }
    blocks
}

/// A line's fence: its mark, how many of them, and what follows.
fn fence(line: &str) -> Option<(u8, usize, &str)> {
    let line = line.trim_start_matches([' ', '\t']);
    let mark = *line.as_bytes().first().filter(|mark| matches!(mark, b'`' | b'~'))?;
    let length = line.bytes().take_while(|byte| *byte == mark).count();
    (length >= 3).then(|| (mark, length, &line[length..]))
}
