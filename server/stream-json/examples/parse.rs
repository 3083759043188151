//! Nanoseconds per line of this crate's reader and of `serde_json::Value`, on recorded lines.
//! `cargo run --release -p claude-comms-stream-json --example parse`

use std::hint::black_box;
use std::time::Instant;

use claude_comms_stream_json::output;
use claude_comms_stream_json::turn::TurnReader;
use uuid::Uuid;

const LINES: &str = include_str!("../tests/recorded/plain_turn.jsonl");
const RUNS: u32 = 2000;
const CALLS: u32 = 200;

fn main() {
    println!("{:<16}{:>7}{:>10}{:>10}{:>10}", "line", "bytes", "ns", "ns folded", "ns Value");
    for (name, mark) in [
        ("text_delta", "text_delta"),
        ("assistant", r#""type":"assistant""#),
        ("init", r#""subtype":"init""#),
        ("result", r#""type":"result""#),
    ] {
        let line = LINES.lines().find(|line| line.contains(mark)).expect("the recording holds one of each");
        let parse = least(|| {
            black_box(output::parse(black_box(line)).is_ok());
        });
        let value = least(|| {
            black_box(serde_json::from_str::<serde_json::Value>(black_box(line)).is_ok());
        });
        let mut reader = TurnReader::new();
        let mut updates = Vec::new();
        let mut read = 0;
        let folded = least(|| {
            // A turn of 1000 lines, in wakes of 10.
            if read % 1000 == 0 {
                reader.begin(Uuid::nil());
            }
            if read % 10 == 0 {
                updates.clear();
            }
            read += 1;
            let output =
                output::parse_bytes(black_box(line.as_bytes())).expect("a recorded line is readable");
            reader.read(&output, &mut updates);
        });
        println!("{name:<16}{:>7}{parse:>10}{folded:>10}{value:>10}", line.len());
    }
}

/// Nanoseconds per call in the least disturbed of many short runs: wall time of a shared machine is noise above that.
fn least(mut call: impl FnMut()) -> u128 {
    let run = |_| {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        start.elapsed().as_nanos() / u128::from(CALLS)
    };
    (0..RUNS).map(run).min().expect("there are runs")
}
