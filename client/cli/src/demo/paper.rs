//! The paper of the demo, as Marker extracts it: an invented one that the tests have too. Knows no other module.

use serde_json::{Map, Value};

/// Marker's JSON tree of blocks.
const TREE: &str = include_str!("../../../../tests/fixtures/paper/paper.json");
/// The document that it would be from.
pub(super) const SOURCE: &str = "quiet_lakes.pdf";
/// The heading of the section that is asked about.
pub(super) const HEADING: &str = "3 Results";
/// What Marker says of a block in the question; its place on the page and its pictures would say nothing.
const TOLD: [&str; 4] = ["id", "block_type", "html", "section_hierarchy"];

/// An extracted document.
#[derive(Debug)]
pub(super) struct Paper {
    /// All blocks but documents and pages, in reading order.
    blocks: Vec<Block>,
}

/// A block, as Marker has it.
#[derive(Debug)]
pub(super) struct Block {
    fields: Map<String, Value>,
}

impl Paper {
    /// Reads the paper.
    pub(super) fn read() -> Self {
        let tree: Value = serde_json::from_str(TREE).expect("the demo's paper is JSON");
        let mut blocks = Vec::new();
        collect(&tree, &mut blocks);
        Self { blocks }
    }

    /// How many pages it has.
    pub(super) fn pages(&self) -> u64 {
        self.blocks.iter().map(Block::page).max().map_or(0, |last| last + 1)
    }

    /// The kinds of blocks on a page and how many there are of each, the most first.
    pub(super) fn counts(&self, page: u64) -> Vec<(&str, usize)> {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for block in self.blocks.iter().filter(|block| block.page() == page) {
            match counts.iter_mut().find(|(kind, _)| *kind == block.kind()) {
                Some((_, count)) => *count += 1,
                None => counts.push((block.kind(), 1)),
            }
        }
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

    /// What the question shows: the headings, and the section that is asked about.
    pub(super) fn asked(&self) -> impl Iterator<Item = &Block> {
        let section = self
            .blocks
            .iter()
            .find(|block| block.kind() == "SectionHeader" && block.text() == HEADING)
            .map(Block::id)
            .unwrap_or_default();
        self.blocks.iter().filter(move |block| {
            block.kind() == "SectionHeader" || block.headings().any(|heading| heading == section)
        })
    }
}

impl Block {
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn id(&self) -> &str {
        self.field("id")
    }

    pub(super) fn kind(&self) -> &str {
        self.field("block_type")
    }

    /// The page, counted from 0, which the ID begins with.
    pub(super) fn page(&self) -> u64 {
        self.id().split('/').nth(2).and_then(|page| page.parse().ok()).unwrap_or_default()
    }

    /// IDs of the headings around it, the outermost first; a heading names itself last.
    pub(super) fn headings(&self) -> impl Iterator<Item = &str> {
        // Levels are single digits, so their order as texts is their order.
        let hierarchy = self.fields.get("section_hierarchy").and_then(Value::as_object);
        hierarchy.into_iter().flatten().filter_map(|(_, id)| id.as_str())
    }

    /// Its text without markup, on one line.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut tag = false;
        for c in self.field("html").chars() {
            match c {
                '<' => tag = true,
                '>' if tag => {
                    tag = false;
                    text.push(' ');
                }
                _ if !tag => text.push(c),
                _ => {}
            }
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The block as a line of the question.
    pub(super) fn told(&self) -> String {
        let told = TOLD.map(|name| format!("\"{name}\":{}", self.fields.get(name).unwrap_or(&Value::Null)));
        format!("{{{}}}", told.join(","))
    }
}

fn collect(node: &Value, blocks: &mut Vec<Block>) {
    let Some(fields) = node.as_object() else { return };
    let kind = fields.get("block_type").and_then(Value::as_str).unwrap_or_default();
    if !matches!(kind, "Document" | "Page" | "PageFooter") {
        let fields = fields.iter().filter(|(name, _)| TOLD.contains(&name.as_str()));
        blocks.push(Block { fields: fields.map(|(name, value)| (name.clone(), value.clone())).collect() });
    }
    for child in fields.get("children").and_then(Value::as_array).into_iter().flatten() {
        collect(child, blocks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_is_whole_and_the_question_shows_one_section_of_it() {
        let paper = Paper::read();
        assert_eq!(paper.pages(), 2);
        let count =
            |page, kind| paper.counts(page).into_iter().find(|(name, _)| *name == kind).map(|(_, n)| n);
        assert_eq!((count(0, "SectionHeader"), count(0, "ListItem")), (Some(4), Some(3)));
        assert_eq!((count(1, "SectionHeader"), count(1, "Table")), (Some(3), Some(1)));
        let asked: Vec<_> = paper.asked().collect();
        assert_eq!(asked.iter().filter(|block| block.kind() == "SectionHeader").count(), 7);
        assert_eq!(asked.len(), 14, "and two groups with what they hold, and a text");
        let table = asked.iter().find(|block| block.kind() == "Table").expect("the table");
        assert!(table.text().starts_with("Lake Area (km²) Ice days"), "{}", table.text());
        assert_eq!(table.headings().last(), Some("/page/1/SectionHeader/0"));
        let told = table.told();
        assert!(
            told.starts_with(r#"{"id":"/page/1/Table/3","block_type":"Table","html":"<table>"#),
            "{told}"
        );
        let whole: Value = serde_json::from_str(&told).expect("a line is JSON");
        assert_eq!(whole["section_hierarchy"]["2"], "/page/1/SectionHeader/0");
    }
}
