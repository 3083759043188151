//! How well tokens are estimated: samples of all kinds against the published tokenizer's counts (see README.md). The
//! bounds are stated with little room, so that a change for the worse is seen.

#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect is to fail")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use claude_comms_context::{SAFETY_PERCENT, estimate_published_tokens, estimate_tokens};

/// Mean of the absolute errors, worst error, mean of the signed errors.
const MEAN_ABSOLUTE: f64 = 0.045;
const WORST: f64 = 0.25;
const BIAS: f64 = 0.02;

fn samples() -> Vec<(String, String, u32)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokens");
    let counts = fs::read_to_string(folder.join("counts.tsv")).unwrap();
    let counts: BTreeMap<_, u32> = counts
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(name, count)| (name, count.parse().unwrap()))
        .collect();
    let read = |name: &str| fs::read_to_string(folder.join("samples").join(name)).unwrap();
    counts.into_iter().map(|(name, count)| (name.to_owned(), read(name), count)).collect()
}

#[test]
fn estimates_are_near_the_published_tokenizer() {
    let mut errors: Vec<_> = samples()
        .into_iter()
        .map(|(name, text, count)| {
            (f64::from(estimate_published_tokens(&text)) / f64::from(count) - 1.0, name)
        })
        .collect();
    errors.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    let count = errors.len() as f64;
    let mean_absolute = errors.iter().map(|(error, _)| error.abs()).sum::<f64>() / count;
    let bias = errors.iter().map(|(error, _)| error).sum::<f64>() / count;
    let (worst, name) = &errors[0];
    println!(
        "{count} samples: mean absolute error {mean_absolute:.3}, worst {worst:+.3} ({name}), bias {bias:+.3}"
    );
    for (error, name) in &errors {
        println!("{error:+.3} {name}");
    }
    assert!(errors.len() >= 50);
    assert!(mean_absolute <= MEAN_ABSOLUTE, "mean absolute error {mean_absolute}");
    assert!(worst.abs() <= WORST, "{name}: {worst}");
    assert!(bias.abs() <= BIAS, "bias {bias}");
}

#[test]
fn estimates_with_their_margin_are_at_most_a_twentieth_below_the_published_tokenizer() {
    for (name, text, count) in samples() {
        assert!(
            f64::from(estimate_tokens(&text)) >= f64::from(count) * 0.95,
            "{name}: {} of {count}",
            estimate_tokens(&text)
        );
    }
}

#[test]
fn margin_is_on_top_of_the_estimate() {
    let text = "How do I import documents? ".repeat(400);
    let published = estimate_published_tokens(&text);
    assert!(estimate_tokens(&text).abs_diff(published * SAFETY_PERCENT / 100) <= 2);
    assert_eq!((estimate_tokens(""), estimate_published_tokens("")), (0, 0));
}

#[test]
fn no_text_is_free() {
    for piece in [" ", "\n", "\t", "-", "=", "a", "A", "0", "\u{e4}", "\u{6587}", "\u{1f980}", "\0", "a1"] {
        let tokens = estimate_tokens(&piece.repeat(100_000));
        assert!(tokens > 0, "{piece:?}");
    }
}
