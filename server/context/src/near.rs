//! Names that are near a mistyped one, for error messages.

/// ` (did you mean "x"?)`, or nothing.
pub(crate) fn did_you_mean<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    let near = near(wrong, names);
    match near.as_slice() {
        [] => String::new(),
        names => {
            let quoted: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
            format!(" (did you mean {}?)", quoted.join(" or "))
        }
    }
}

/// Up to three names that look like the wrong one, best first; of equals the first by name.
pub(crate) fn near<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    // Distances take quadratic time, and no name is that long.
    let wrong: String = wrong.chars().take(100).flat_map(char::to_lowercase).collect();
    let mut scored: Vec<_> = names
        .map(|name| {
            let lower = name.to_lowercase();
            let part = wrong.len() > 3 && (lower.contains(&wrong) || wrong.contains(&lower));
            (if part { 1.0 } else { strsim::jaro_winkler(&wrong, &lower) }, name)
        })
        .filter(|(score, _)| *score > 0.82)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}
