//! What is printed: the warning before, the table after. Pure.

use std::fmt::Write as _;

use crate::{asking::Asked, grade::Grade};

/// One question's two answers.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) with: Asked,
    pub(crate) without: Asked,
}

impl Row {
    /// Tokens that the context adds: as estimated, and as the API counted. What the CLI adds of its own is in both
    /// questions and falls out.
    fn context_tokens(&self) -> Option<[f64; 2]> {
        let estimated = f64::from(self.with.estimated_tokens?) - f64::from(self.without.estimated_tokens?);
        let counted = (self.with.input_tokens - self.without.input_tokens) as f64;
        (estimated > 0.0 && counted > 0.0).then_some([estimated, counted])
    }
}

/// What all answers cost, in US dollars.
pub(crate) fn cost(rows: &[Row]) -> f64 {
    rows.iter().map(|row| row.with.cost_usd + row.without.cost_usd).sum()
}

/// How many were right with context, and without.
pub(crate) fn right(rows: &[Row]) -> [usize; 2] {
    let count = |of: fn(&Row) -> &Asked| rows.iter().filter(|row| of(row).grade.is_right()).count();
    [count(|row| &row.with), count(|row| &row.without)]
}

/// The table, its sums, the reasons of what is wrong, and how good the estimate of tokens was.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes all that is written to it");
    line(format!(
        "{:<28} {:>6} {:>8}  {:>14} {:>14}  {:>8} {:>8}",
        "question", "with", "without", "tokens with", "without", "$ with", "without"
    ));
    let tokens = |asked: &Asked| format!("{} > {}", asked.input_tokens, asked.output_tokens);
    for Row { id, with, without } in rows {
        line(format!(
            "{id:<28} {:>6} {:>8}  {:>14} {:>14}  {:>8.4} {:>8.4}",
            with.grade,
            without.grade,
            tokens(with),
            tokens(without),
            with.cost_usd,
            without.cost_usd
        ));
    }
    let [with, without] = right(rows);
    let sum = |of: fn(&Row) -> &Asked| rows.iter().map(of).map(|asked| asked.cost_usd).sum::<f64>();
    let total = |of: fn(&Row) -> &Asked| {
        let sum = |part: fn(&Asked) -> i64| rows.iter().map(of).map(part).sum::<i64>();
        format!("{} > {}", sum(|asked| asked.input_tokens), sum(|asked| asked.output_tokens))
    };
    line(format!(
        "{:<28} {:>6} {:>8}  {:>14} {:>14}  {:>8.4} {:>8.4}",
        format!("right, of {}", rows.len()),
        with,
        without,
        total(|row| &row.with),
        total(|row| &row.without),
        sum(|row| &row.with),
        sum(|row| &row.without)
    ));
    line(format!("\n{:.4} US dollars in all, as the CLI reckons them. Tokens: read > written.", cost(rows)));
    line(estimate(rows));
    for row in rows {
        for (how, asked) in [("with", &row.with), ("without", &row.without)] {
            if let Grade::Wrong(reasons) = &asked.grade {
                line(format!("\n{}, {how} context:", row.id));
                reasons.iter().for_each(|reason| line(format!("  {reason}")));
            }
        }
    }
    text
}

fn estimate(rows: &[Row]) -> String {
    let mut errors: Vec<f64> = rows
        .iter()
        .filter_map(Row::context_tokens)
        .map(|[estimated, counted]| 100.0 * (estimated / counted - 1.0))
        .collect();
    errors.sort_unstable_by(f64::total_cmp);
    let Some((least, most)) = errors.first().zip(errors.last()) else {
        return "Estimate of the context's tokens: nothing to compare with.".to_owned();
    };
    let median = errors[errors.len() / 2];
    format!(
        "Estimate of the context's tokens against the API's count: {median:+.1} % (median of {}; {least:+.1} to \
         {most:+.1} %). It is meant to lie above: it carries a margin of 25 % for newer models.",
        errors.len()
    )
}

#[cfg(test)]
mod tests {
    use super::{Row, right, table};
    use crate::{asking::Asked, grade::Grade};

    fn asked(right: bool, input_tokens: i64, estimated_tokens: Option<u32>) -> Asked {
        let grade = if right { Grade::Right } else { Grade::Wrong(vec!["missing: x".to_owned()]) };
        Asked { grade, input_tokens, output_tokens: 100, cost_usd: 0.01, estimated_tokens, hopeless: None }
    }

    fn rows() -> Vec<Row> {
        vec![
            Row {
                id: "one".into(),
                with: asked(true, 5300, Some(6100)),
                without: asked(false, 300, Some(100)),
            },
            Row { id: "two".into(), with: asked(true, 9000, None), without: asked(true, 300, Some(100)) },
        ]
    }

    #[test]
    fn the_table_names_grades_tokens_costs_and_reasons() {
        let text = table(&rows());
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines[1],
            ["one", "right", "wrong", "5300", ">", "100", "300", ">", "100", "0.0100", "0.0100"]
        );
        assert_eq!(
            lines[3],
            ["right,", "of", "2", "2", "1", "14300", ">", "200", "600", ">", "200", "0.0200", "0.0200"]
        );
        assert!(text.contains("0.0400 US dollars in all"), "{text}");
        assert!(text.contains("one, without context:\n  missing: x"), "{text}");
        assert_eq!(right(&rows()), [2, 1]);
    }

    #[test]
    fn the_estimate_is_compared_where_one_message_was_sent_and_the_clis_own_tokens_fall_out() {
        // 6000 estimated against 5000 counted.
        assert!(table(&rows()).contains("+20.0 % (median of 1;"), "{}", table(&rows()));
        assert!(table(&rows()[1..]).contains("nothing to compare with"));
    }
}
