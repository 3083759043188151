//! Numbers within bounds: 0 if it may be, else one near a bound.

use serde_json::Value;

use super::conjunction::Conjunction;

/// How many multiples are looked at from a bound on.
const STEPS: u32 = 600;

/// The `nth` number found that fits, or the first, or 0 if none is found.
pub(super) fn number(all: &Conjunction<'_>, integer: bool, nth: usize) -> Value {
    let step = all.greatest("multipleOf").filter(|step| *step > 0.0);
    let step = step.unwrap_or(1.0);
    let low = larger(all.greatest("minimum"), all.greatest("exclusiveMinimum"));
    let high = all.least("maximum").into_iter().chain(all.least("exclusiveMaximum")).reduce(f64::min);
    let good = |number: f64| all.holds(number) && (!integer || number.fract() == 0.0);

    // A bound as it is written keeps all its digits.
    let written = all.all("minimum").chain(all.all("maximum"));
    let mut written = written.filter(|bound| bound.as_f64().is_some_and(good));
    let from_low = low.map_or(0.0, |low| (low / step).ceil());
    let upward = (0..STEPS).map(|k| times(from_low + f64::from(k), step));
    let downward = high.map(|high| (high / step).floor()).into_iter();
    let downward = downward.flat_map(|most| (0..STEPS).map(move |k| times(most - f64::from(k), step)));
    let between = low.zip(high).map(|(low, high)| low / 2.0 + high / 2.0);
    let beside = low.map(|low| low + 0.5).into_iter().chain(high.map(|high| high - 0.5));
    let found = || {
        let made = std::iter::once(0.0).chain(upward.clone()).chain(downward.clone());
        made.chain(between).chain(beside.clone()).filter(|number| good(*number))
    };
    let chosen = if nth == 0 { found().next() } else { found().nth(nth).or_else(|| found().next()) };
    match chosen {
        Some(number) if number.abs() < 9e15 => json(number, integer),
        Some(number) => written.next().cloned().unwrap_or_else(|| json(number, integer)),
        None => written.next().cloned().unwrap_or_else(|| Value::from(0)),
    }
}

fn larger(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

/// `count` times `step`, without the error that a step such as 0.01 has in binary.
fn times(count: f64, step: f64) -> f64 {
    let parts = (1.0 / step).round();
    if step < 1.0 && (parts * step - 1.0).abs() < 1e-12 { count / parts } else { count * step }
}

/// The number in JSON, without a fraction if it has none.
fn json(number: f64, integer: bool) -> Value {
    if integer || number.fract() == 0.0 {
        let text = format!("{number:.0}");
        if let Ok(whole) = text.parse::<i64>() {
            return Value::from(whole);
        }
    }
    Value::from(number)
}
