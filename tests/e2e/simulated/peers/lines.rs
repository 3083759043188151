//! Reports of output that was cut, or that was too long for its reader.

use std::fmt::Write as _;

use claude_comms_tests::client::Heard;

use crate::simulated::support::{completed, failed, playing_turns};

/// What a pipe of Linux holds, and what many programs read at once, in bytes.
const PIPE_BYTES: usize = 65_536;

fn counted_text(heard: &Heard) -> usize {
    heard.text.len()
}

/// anthropics/claude-code#77112: piped output is cut at exactly 65,536 bytes, and the exit is a good one.
#[tokio::test]
async fn lines_that_end_at_the_64_kibibytes_of_a_pipe_arrive_whole() {
    // A line that nobody understands, of exactly so many bytes with its end, before the answer: everything after it lies
    // at, just before or just behind the edge of a pipe and of a read.
    for write in ["per_line", "chunked"] {
        let mut steps = String::new();
        let mut expected = String::new();
        for bytes in
            [1, 2, 3].map(|times| times * PIPE_BYTES).into_iter().flat_map(|edge| edge - 2..=edge + 2)
        {
            let head = "{\"type\":\"future_thing\",\"x\":\"";
            let padding = "y".repeat(bytes - head.len() - "\"}\n".len());
            writeln!(steps, "      - raw: '{head}{padding}\"}}'\n      - text: \"after {bytes}. \"").unwrap();
            write!(expected, "after {bytes}. ").unwrap();
        }
        let server = playing_turns(&format!("turns:\n  - write: {write}\n    steps:\n{steps}")).start().await;
        let client = server.client().await;
        let heard = client.ask(&client.new_conversation().await, "hello").await;
        assert_eq!(completed(heard.turn()), expected, "{write}");
    }
}

/// anthropics/claude-code#77112, for the lines that matter: deltas of every length around the edge.
#[tokio::test]
async fn deltas_of_every_length_around_64_kibibytes_arrive_whole() {
    // What a line holds beside its text is between 200 and 400 bytes, so some of these lines end exactly at the edge.
    let lengths = PIPE_BYTES - 420..PIPE_BYTES + 2;
    let mut steps = String::new();
    for length in lengths.clone() {
        writeln!(steps, "      - text: \"{}\"", "z".repeat(length)).unwrap();
    }
    let server = playing_turns(&format!("turns:\n  - write: per_line\n    steps:\n{steps}")).start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    completed(heard.turn());
    assert_eq!(counted_text(&heard), lengths.sum::<usize>());
}

/// anthropics/claude-agent-sdk-python#98 and inkbox-ai/claude-code-plugin#11: a line of more than 1 MiB kills the reader,
/// and the session stays wedged.
#[tokio::test]
async fn after_a_line_that_is_too_long_the_conversation_goes_on() {
    let server = playing_turns(
        "turns:\n  - { when: { contains: too long }, steps: [{ huge_line: { mebibytes: 70 } }] }\n\
         \x20 - { when: { contains: long }, steps: [{ huge_line: { mebibytes: 2 } }] }\n",
    )
    .start()
    .await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "one").await.turn());
    let long = client.ask(&conversation, "a long one").await;
    completed(long.turn());
    assert_eq!(counted_text(&long), 2 << 20);
    failed(client.ask(&conversation, "one that is too long").await.turn(), "PROTOCOL_ERROR");
    let text = completed(client.ask(&conversation, "and on").await.turn()).to_owned();
    assert!(text.contains("The first asked: \"one\""), "it goes on with its memory: {text}");
}
