//! An answer as it comes, its data folded to one line: data is for programs. What happens on the way is part of the
//! story, so that it is told on standard output.

use claude_comms_client::{Error, TurnStream, TurnUpdate, v1};

use super::demand::Demand;
use crate::{
    context::Context,
    exit::{Exit, Failure},
    output::{Tone, Ui, printable},
};

/// What a question came to.
#[derive(Debug)]
pub(super) enum Told {
    /// An answer with data that fits.
    Answer(Box<v1::Turn>),
    /// Claude answered, but without such data; what it said was shown.
    Otherwise(Box<v1::Turn>),
    /// No answer at all; why was said.
    Ended(Exit),
}

/// Shows a turn to its end.
pub(super) async fn show(
    context: &mut Context<'_>,
    opening: impl Future<Output = Result<TurnStream, Error>>,
    demand: &Demand,
) -> Result<Told, Failure> {
    let ui = context.ui;
    let mut stream = context.patience.wait(opening).await?;
    let mut fold = Fold::default();
    let mut so_far = String::new();
    loop {
        let next = async {
            let event = stream.next().await;
            event.ok_or_else(|| Error::Protocol("the stream ended before the turn".into()))?
        };
        match context.patience.wait(next).await?.update {
            TurnUpdate::Text { text, .. } => {
                so_far.push_str(&text);
                write(ui, &fold.take(&text))?;
            }
            TurnUpdate::Reset { reason } => {
                write(ui, &std::mem::take(&mut fold).end())?;
                let text = std::mem::take(&mut so_far);
                busy(ui, &void(&reason, &text, demand))?;
            }
            TurnUpdate::Retrying(retrying) => {
                write(ui, &std::mem::take(&mut fold).end())?;
                busy(ui, &format!("(tried again: {})", printable(&retrying.reason)))?;
            }
            TurnUpdate::Completed(turn) => {
                write(ui, &fold.end())?;
                return Ok(Told::Answer(turn));
            }
            TurnUpdate::Failed(turn) | TurnUpdate::Cancelled(turn) => {
                write(ui, &fold.end())?;
                let failure = turn.failure.clone().unwrap_or_default();
                let said = format!("{}: {}", failure.reason, failure.message);
                if matches!(failure.reason.as_str(), "INVALID_OUTPUT" | "UNANSWERABLE") {
                    busy(ui, &printable(&said))?;
                    return Ok(Told::Otherwise(turn));
                }
                ui.error(&said);
                return Ok(Told::Ended(Exit::Failed));
            }
            _ => {}
        }
    }
}

/// Why the text so far does not count.
fn void(reason: &str, text: &str, demand: &Demand) -> String {
    match (reason, demand.wrong(text)) {
        ("repair", Some(wrong)) => {
            format!("(the data did not fit: {}.\n Claude was asked once more)", printable(&wrong))
        }
        ("repair", None) => "(the data did not fit; Claude was asked once more)".to_owned(),
        _ => "(the answer begins again)".to_owned(),
    }
}

fn busy(ui: &Ui, text: &str) -> Result<(), Failure> {
    let lines: Vec<_> = text.lines().map(|line| ui.out().paint(Tone::Busy, line)).collect();
    ui.write(&format!("{}\n", lines.join("\n")))
}

fn write(ui: &Ui, pieces: &[Piece]) -> Result<(), Failure> {
    for piece in pieces {
        match piece {
            Piece::Text(text) => ui.write(&printable(text))?,
            Piece::Data { lines, bytes } => {
                let kib = bytes.div_ceil(1024);
                let line = format!("{{ {lines} lines of data, {kib} KiB }}");
                ui.write(&format!("{}\n", ui.out().paint(Tone::Faint, &line)))?;
            }
        }
    }
    Ok(())
}

/// Something to show of an answer.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Data { lines: usize, bytes: usize },
}

/// Takes the blocks of data out of a text that comes in pieces.
#[derive(Debug, Default)]
struct Fold {
    /// The line that is being read, as far as it may be a fence and is not shown.
    held: String,
    /// Within a line that is shown.
    shown: bool,
    /// Lines and bytes of the block that is being read.
    data: Option<(usize, usize)>,
}

impl Fold {
    fn take(&mut self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for line in text.split_inclusive('\n') {
            self.line(line, &mut pieces);
        }
        pieces
    }

    /// A line, or a part of one.
    fn line(&mut self, part: &str, pieces: &mut Vec<Piece>) {
        self.held.push_str(part);
        let whole = part.ends_with('\n');
        let word = self.held.trim();
        if let Some((lines, bytes)) = self.data {
            if !whole {
                return;
            }
            if word == "```" {
                pieces.push(Piece::Data { lines, bytes });
                self.data = None;
            } else {
                self.data = Some((lines + 1, bytes + self.held.len()));
            }
            self.held.clear();
        } else if !self.shown && whole && word == "```json" {
            self.data = Some((0, 0));
            self.held.clear();
        } else if self.shown || whole || !"```json".starts_with(word) {
            push(pieces, &std::mem::take(&mut self.held));
            self.shown = !whole;
        }
    }

    /// What is left when no more comes; the next text begins a line.
    fn end(mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if let Some((lines, bytes)) = self.data {
            let last = self.held.trim();
            let more = usize::from(!last.is_empty() && last != "```");
            pieces.push(Piece::Data { lines: lines + more, bytes: bytes + more * self.held.len() });
        } else if self.shown || !self.held.is_empty() {
            self.held.push('\n');
            push(&mut pieces, &self.held);
        }
        pieces
    }
}

fn push(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_folded_however_the_text_is_cut() {
        let text = "So:\n`a` and ```b```\n\n```json\n{\"a\":\n1}\n```\nand on";
        let wanted = "So:\n`a` and ```b```\n\n<2 9>and on\n";
        for size in 1..=text.len() {
            let mut fold = Fold::default();
            let mut seen = String::new();
            let mut show = |pieces: Vec<Piece>| {
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => seen.push_str(&text),
                        Piece::Data { lines, bytes } => seen.extend([format!("<{lines} {bytes}>")]),
                    }
                }
            };
            for part in text.as_bytes().chunks(size) {
                show(fold.take(std::str::from_utf8(part).expect("ASCII")));
            }
            show(fold.end());
            assert_eq!(seen, wanted, "in pieces of {size}");
        }
    }

    #[test]
    fn data_without_an_end_is_told_too() {
        let mut fold = Fold::default();
        assert_eq!(fold.take("```json\n[1,\n2"), []);
        assert_eq!(fold.end(), [Piece::Data { lines: 2, bytes: 5 }]);
        let mut fold = Fold::default();
        assert_eq!(fold.take("[1]\n```json\n[1]\n```"), [Piece::Text("[1]\n".into())]);
        assert_eq!(fold.end(), [Piece::Data { lines: 1, bytes: 4 }]);
    }
}
