//! The answer of a simulated CLI that no scenario directs: plainly marked, the
//! same for the same conversation, and such that one sees what it remembers;
//! with made-up data if data is demanded. It makes text and knows nothing of lines.

use crate::data;

/// Characters of a prompt that are repeated.
const SHOWN_CHARS: usize = 160;

/// What the answer is about.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// All prompts of the conversation, this one last.
    pub(crate) prompts: &'a [String],
    pub(crate) system_prompt: Option<&'a str>,
}

/// The answer.
pub(crate) fn answer(question: &Question<'_>) -> String {
    let Some((asked, earlier)) = question.prompts.split_last() else { return String::new() };
    let identity = match question.system_prompt {
        Some(system_prompt) => format!("I was told who I am: {}\n", quoted(system_prompt)),
        None => String::new(),
    };
    let memory = match earlier {
        [] => String::new(),
        [first] => format!(" The one before asked: {}", quoted(first)),
        [first, .., previous] => {
            format!(" The first asked: {}; the one before: {}", quoted(first), quoted(previous))
        }
    };
    let asked = quoted(asked);
    let turn = earlier.len() + 1;
    let block = match data::demanded(question.prompts) {
        Some(schema) => format!("\n\n```json\n{:#}\n```", data::instance(&schema)),
        None => String::new(),
    };
    format!(
        "[simulated] You asked: {asked}\n{identity}This is turn {turn} of our conversation.{memory}\n\
         No model has read this.{block}"
    )
}

/// The text in quotes, on one line, shortened in its middle if it is long.
fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let chars = line.chars().count();
    if chars <= SHOWN_CHARS {
        return format!("\"{line}\"");
    }
    let head: String = line.chars().take(SHOWN_CHARS / 2).collect();
    let tail: String = line.chars().skip(chars - SHOWN_CHARS / 2).collect();
    format!("\"{head} … {tail}\" ({chars} characters)")
}

/// Cuts text into word-sized deltas: each word with the white space after it.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_shows_what_it_remembers() {
        let prompts = ["one".to_owned(), "two".to_owned(), "three".to_owned()];
        let answer = answer(&Question { prompts: &prompts, system_prompt: Some("You are Bob.") });
        assert_eq!(
            answer,
            "[simulated] You asked: \"three\"\nI was told who I am: \"You are Bob.\"\nThis is turn 3 of our \
             conversation. The first asked: \"one\"; the one before: \"two\"\nNo model has read this."
        );
    }

    #[test]
    fn words_lose_nothing() {
        let text = "  a\u{2028}b \n\t😀 c";
        assert_eq!(words(text).collect::<String>(), text);
    }
}
