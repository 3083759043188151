//! Tables and detail lists that fit the terminal. Knows text only.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table as Grid};

use super::{Paint, Tone, human::one_line};

/// Marks a cell whose word is painted; it has no width, and cells are cleaned of it.
const MARK: char = '\u{2060}';
/// What a flexible column keeps at least.
const FLEXIBLE_MIN: u16 = 12;

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    name: &'static str,
    /// Columns that it keeps at least, where its text may be cut.
    flexible: Option<u16>,
    right: bool,
    painted: bool,
    /// Dropped first when the terminal is narrow; 0 is never dropped.
    drop_rank: u8,
}

impl Column {
    /// A column that is as wide as its content and always there.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, flexible: None, right: false, painted: false, drop_rank: 0 }
    }

    /// Its text may be cut to fit.
    pub(crate) const fn flexible(mut self) -> Self {
        self.flexible = Some(FLEXIBLE_MIN);
        self
    }

    /// Its text may be cut to fit, to so many columns at least: less would say nothing.
    pub(crate) const fn flexible_from(mut self, least: u16) -> Self {
        self.flexible = Some(least);
        self
    }

    /// It holds numbers.
    pub(crate) const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    /// It holds states, which have colours.
    pub(crate) const fn painted(mut self) -> Self {
        self.painted = true;
        self
    }

    /// A narrow terminal drops it, the highest rank first.
    pub(crate) const fn droppable(mut self, rank: u8) -> Self {
        self.drop_rank = rank;
        self
    }
}

/// A table without lines: a header, then a row a thing.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it has a cell for each column.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.columns.len(), "a cell for each column");
        self.rows.push(cells.iter().map(|cell| one_line(cell)).collect());
    }

    /// The table as text, fitted to `width` columns where that is known.
    pub(crate) fn render(&self, paint: Paint, width: Option<u16>) -> String {
        let grid = self.grid(paint, &(0..self.columns.len()).collect::<Vec<_>>());
        let widths = grid.column_max_content_widths();
        let grid = match width {
            Some(width) => self.fitted(paint, &widths, width),
            None => grid,
        };
        let mut text = String::new();
        for (index, line) in grid.lines().enumerate() {
            let line = line.trim_end();
            text.push_str(&if index == 0 { paint.paint(Tone::Strong, line) } else { painted(line, paint) });
            text.push('\n');
        }
        text
    }

    fn fitted(&self, paint: Paint, widths: &[u16], width: u16) -> Grid {
        let least = |index: usize| {
            let natural = widths[index];
            self.columns[index].flexible.map_or(natural, |least| natural.min(least))
        };
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let needed = |shown: &[usize]| -> usize {
            shown.iter().map(|&index| usize::from(least(index)) + 2).sum::<usize>().saturating_sub(2)
        };
        while needed(&shown) > usize::from(width) {
            let Some(last) = shown
                .iter()
                .copied()
                .filter(|&index| self.columns[index].drop_rank > 0)
                .max_by_key(|&index| self.columns[index].drop_rank)
            else {
                break;
            };
            shown.retain(|&index| index != last);
        }
        let mut grid = self.grid(paint, &shown);
        // The right padding of the last column is trimmed away.
        grid.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.saturating_add(2));
        grid.set_constraints(shown.iter().map(|&index| {
            if self.columns[index].flexible.is_some() {
                // The padding counts as width.
                ColumnConstraint::LowerBoundary(comfy_table::Width::Fixed(least(index) + 2))
            } else {
                ColumnConstraint::ContentWidth
            }
        }));
        grid
    }

    fn grid(&self, paint: Paint, shown: &[usize]) -> Grid {
        let mut grid = Grid::new();
        grid.load_style(comfy_table::presets::NOTHING).set_truncation_indicator("…");
        // No cell has it: texts are cut where the space ends, not at a word.
        grid.set_delimiter('\u{1}');
        grid.set_header(shown.iter().map(|&index| self.columns[index].name));
        for cells in &self.rows {
            let mut row = Row::from(shown.iter().map(|&index| {
                if self.columns[index].painted && paint == Paint::Colored {
                    format!("{MARK}{}{MARK}", cells[index])
                } else {
                    cells[index].clone()
                }
            }));
            row.max_height(1);
            grid.add_row(row);
        }
        for (place, &index) in shown.iter().enumerate() {
            if let Some(column) = grid.column_mut(place) {
                column.set_padding((0, 2));
                if self.columns[index].right {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        grid
    }
}

/// Paints what stands between marks.
fn painted(line: &str, paint: Paint) -> String {
    line.split(MARK)
        .enumerate()
        .map(|(index, part)| if index % 2 == 1 { paint.paint(tone(part), part) } else { part.to_owned() })
        .collect()
}

/// The colour of a state.
pub(crate) fn tone(state: &str) -> Tone {
    match state {
        "COMPLETED" | "IDLE" | "ACTIVE" | "HEALTHY" | "OK" | "serving" => Tone::Good,
        "QUEUED" | "RUNNING" | "BUSY" | "STARTING" | "STOPPING" | "PAUSED" | "DEGRADED" | "WARNING"
        | "draining" => Tone::Busy,
        "FAILED" | "CANCELLED" | "UNHEALTHY" | "PROBLEM" => Tone::Bad,
        _ => Tone::Faint,
    }
}

/// One thing, a fact a line.
#[derive(Debug, Default)]
pub(crate) struct Details {
    facts: Vec<Fact>,
}

#[derive(Debug)]
enum Fact {
    Line { name: &'static str, text: String, painted: bool },
    Block { name: &'static str, text: String },
}

impl Details {
    /// A fact; nothing is said of what is empty or `-`.
    pub(crate) fn fact(mut self, name: &'static str, text: impl Into<String>) -> Self {
        let text = one_line(&text.into());
        if !text.is_empty() && text != "-" {
            self.facts.push(Fact::Line { name, text, painted: false });
        }
        self
    }

    /// A state.
    pub(crate) fn state(mut self, name: &'static str, text: &str) -> Self {
        self.facts.push(Fact::Line { name, text: text.to_owned(), painted: true });
        self
    }

    /// A longer text, below its name.
    pub(crate) fn block(mut self, name: &'static str, text: &str) -> Self {
        if !text.is_empty() {
            self.facts.push(Fact::Block { name, text: super::printable(text) });
        }
        self
    }

    /// The facts as text. Lines are not cut: what is shown of one thing is all there is to see of it.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let longest = self.facts.iter().map(|fact| match fact {
            Fact::Line { name, .. } => name.len(),
            Fact::Block { .. } => 0,
        });
        let column = longest.max().unwrap_or(0) + 2;
        let mut out = String::new();
        for fact in &self.facts {
            match fact {
                Fact::Line { name, text, painted } => {
                    out.push_str(&paint.paint(Tone::Faint, name));
                    out.push_str(&" ".repeat(column - name.len()));
                    out.push_str(&if *painted { paint.paint(tone(text), text) } else { text.clone() });
                }
                Fact::Block { name, text } => {
                    out.push_str(&paint.paint(Tone::Faint, name));
                    for line in text.lines() {
                        out.push_str("\n  ");
                        out.push_str(line);
                    }
                }
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[
            Column::new("ID"),
            Column::new("STATE").painted(),
            Column::new("TURNS").right().droppable(1),
            Column::new("MEMORY").right().droppable(2),
            Column::new("TITLE").flexible(),
        ]);
        let row = |id: &str, state: &str, turns: &str, title: &str| {
            [id.into(), state.into(), turns.into(), "43.2 MiB".into(), title.into()]
        };
        table.row(row("0a1b2c3d", "IDLE", "3", "Why is the sky blue, and why is it red at dusk?"));
        table.row(row("4e5f6a7b", "DORMANT", "12", "短い\n題名"));
        table
    }

    #[test]
    fn a_table_without_a_terminal_is_as_wide_as_it_needs() {
        insta::assert_snapshot!(table().render(Paint::Plain, None));
    }

    #[test]
    fn a_narrow_terminal_drops_columns_and_cuts_text() {
        insta::assert_snapshot!(
            [80, 60, 48, 36, 10]
                .map(|width| format!("{width}:\n{}", table().render(Paint::Plain, Some(width))))
                .concat()
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 31..100 {
            for line in table().render(Paint::Plain, Some(width)).lines() {
                assert!(line.chars().count() <= usize::from(width), "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn colours_change_no_character() {
        let colored = table().render(Paint::Colored, Some(60));
        assert!(colored.contains("\x1b[32mIDLE\x1b[0m"), "{colored:?}");
        let mut bare = String::new();
        let mut rest = colored.as_str();
        while let Some((before, after)) = rest.split_once('\x1b') {
            bare.push_str(before);
            rest = after.split_once('m').expect("a colour ends").1;
        }
        bare.push_str(rest);
        assert_eq!(bare, table().render(Paint::Plain, Some(60)));
    }

    #[test]
    fn details_say_nothing_of_what_is_empty() {
        let details = Details::default()
            .fact("id", "0a1b")
            .state("state", "FAILED")
            .fact("model", "")
            .fact("cost", "-")
            .block("text", "one\ntwo\x1b[2J\n");
        insta::assert_snapshot!(details.render(Paint::Plain));
    }
}
