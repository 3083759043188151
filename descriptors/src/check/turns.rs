//! Rules of a turn's limits: model, rounds, money and time.

use crate::{check::findings::Findings, check::limits, node::At, node::Content, words::quoted};

pub(super) fn check(root: &At<'_>, findings: &mut Findings) {
    let Some(turn) = root.key("limits") else { return };
    if let Some((at, model)) = turn.text_of("model") {
        let plain = model.bytes().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'.' | b'_' | b':' | b'/' | b'@' | b'[' | b']' | b'-')
        });
        if model.is_empty() || model.starts_with('-') || !plain || model.len() > limits::TITLE_BYTES {
            findings.problem(
                &at,
                format!(
                    "{} is not a model's name; write an alias such as \"sonnet\" or a full name: letters, digits and ._:/@[]-, not beginning with -",
                    quoted(model)
                ),
            );
        }
    }
    if let Some(at) = turn.key("max_turns")
        && let Content::Number(number) = &at.node.content
        && !number.as_u64().is_some_and(|rounds| rounds > 0 && u32::try_from(rounds).is_ok())
    {
        findings.problem(
            &at,
            format!(
                "{} is not a number of rounds; write a whole number from 1, or leave it out",
                at.node.spelling
            ),
        );
    }
    if let Some(at) = turn.key("budget_usd")
        && let Content::Number(number) = &at.node.content
        && !number.as_f64().is_some_and(|dollars| dollars > 0.0 && dollars.is_finite())
    {
        findings.problem(
            &at,
            format!(
                "{} is not a budget; write US dollars above 0, such as 0.5, or leave it out",
                at.node.spelling
            ),
        );
    }
    if let Some(at) = turn.key("timeout") {
        timeout(&at, findings);
    }
}

fn timeout(at: &At<'_>, findings: &mut Findings) {
    const UNIT: &str = "write a number with its unit, such as 120s, 5m or 1h30m";
    match &at.node.content {
        Content::Number(_) => {
            findings.problem(at, format!("{} has no unit; {UNIT}", at.node.spelling));
        }
        Content::Text(text) if text.len() > limits::TIME_BYTES => {
            findings.problem(
                at,
                format!("{} bytes; at most {}: make it shorter", text.len(), limits::TIME_BYTES),
            );
        }
        Content::Text(text) => match humantime::parse_duration(text) {
            Ok(time) if time.is_zero() => {
                findings.problem(at, "no time at all; write more than 0, or leave it out")
            }
            Ok(_) => {}
            Err(error) => {
                findings.problem(at, format!("{} is not a length of time ({error}); {UNIT}", quoted(text)));
            }
        },
        _ => {}
    }
}
