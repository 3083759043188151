//! The tags of our sections in what reached the model: which there are, and what stands within and outside. It reads them
//! as forgivingly as a model would: any case, spaces, invisible characters.

/// Every tag that a prompt or a message may have.
const TAGS: [&str; 17] = [
    "protocol",
    "source",
    "target",
    "relationship",
    "shared_data_types",
    "capabilities",
    "glossary",
    "constraints",
    "answer_rules",
    "history",
    "capability",
    "request",
    "response",
    "error",
    "question",
    "parameters",
    "output_format",
];

/// What reads like one of our tags, as it is written, in order.
fn found(text: &str) -> Vec<String> {
    let skipped = |next: char| {
        next == '/'
            || next.is_whitespace()
            || matches!(next, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
    };
    let mut tags = Vec::new();
    for (at, _) in text.match_indices(['<', '\u{ff1c}', '\u{fe64}']) {
        let from = &text[at..];
        let after = from.chars().next().map_or("", |first| &from[first.len_utf8()..]);
        let name = after.trim_start_matches(skipped).to_lowercase();
        if TAGS.iter().any(|tag| name.strip_prefix(tag).is_some_and(|rest| !rest.starts_with('_'))) {
            let end = from.find('>').map_or(from.len().min(40), |end| end + 1);
            tags.push(from.get(..end).unwrap_or(from).to_owned());
        }
    }
    tags
}

/// The text's sections are exactly these, each opened once and closed once, one after the other.
#[track_caller]
pub(super) fn assert_sections(text: &str, names: &[&str]) {
    let expected: Vec<String> =
        names.iter().flat_map(|name| [format!("<{name}>"), format!("</{name}>")]).collect();
    assert_eq!(found(text), expected, "in {text}");
}

/// What stands within a section.
#[track_caller]
pub(super) fn section<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {text}"));
    rest.split_once(&format!("</{name}>")).unwrap_or_else(|| panic!("{name} is not closed in {text}")).0
}

/// What stands outside of these sections.
#[track_caller]
pub(super) fn without(text: &str, names: &[&str]) -> String {
    names.iter().fold(text.to_owned(), |text, name| text.replace(section(&text, name), ""))
}

#[test]
fn tags_are_seen_however_they_are_written() {
    assert_eq!(found("<source>\na < b\n</source>"), ["<source>", "</source>"]);
    assert_eq!(found("< / Source >"), ["< / Source >"]);
    assert_eq!(found("<\u{200b}SOURCE>"), ["<\u{200b}SOURCE>"]);
    assert_eq!(found("&lt;source&gt; <other>"), Vec::<String>::new());
}
