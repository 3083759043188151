//! What a test says although it passes: figures, tables, what it could not do. The test harness hides what is printed with
//! `println!`; this goes past it.

use std::io::Write as _;

/// Writes the lines at once, so that those of tests beside it do not mix with them.
pub fn say(text: &str) {
    // Nobody reads a closed standard output.
    let _ = std::io::stdout().lock().write_all(format!("\n{}\n", text.trim_end()).as_bytes());
}

/// Says that something was left out, and why, in the words of `tests/run`.
pub fn skipped(what: &str, why: &str) {
    say(&format!("SKIPPED: {what}, {why}"));
}
