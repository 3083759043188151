//! What a check found, with its remedy. Pure data.

use std::{collections::BTreeMap, time::Duration};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All is well.
    Ok,
    /// There was nothing to check.
    Skipped,
    /// It works, but not for long, not safely, or not as meant.
    Warning,
    /// Something does not work.
    Problem,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) verdict: Verdict,
    pub(super) message: String,
    pub(super) remedy: String,
    pub(super) details: BTreeMap<String, String>,
}

impl Found {
    fn new(verdict: Verdict, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict, message: message.into(), remedy: remedy.into(), details: BTreeMap::new() }
    }

    pub(super) fn ok(message: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, message, "")
    }

    pub(super) fn skipped(message: impl Into<String>) -> Self {
        Self::new(Verdict::Skipped, message, "")
    }

    pub(super) fn warning(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Verdict::Warning, message, remedy)
    }

    pub(super) fn problem(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Verdict::Problem, message, remedy)
    }

    /// A fact for programs.
    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.details.insert(name.to_owned(), value.to_string());
        self
    }

    /// The gravest of several findings about one thing, the others' words after its own.
    pub(super) fn worst(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut all: Vec<Self> = all.into_iter().collect();
        // Stable: what was found first is said first.
        all.sort_by_key(|found| std::cmp::Reverse(found.verdict));
        let mut all = all.into_iter();
        let mut worst = all.next()?;
        for other in all {
            if other.verdict == worst.verdict && worst.verdict != Verdict::Ok
                || other.verdict >= Verdict::Warning
            {
                worst.message = format!("{}; {}", worst.message, other.message);
                if worst.remedy.is_empty() {
                    worst.remedy = other.remedy;
                } else if !other.remedy.is_empty() && other.remedy != worst.remedy {
                    worst.remedy = format!("{}; {}", worst.remedy, other.remedy);
                }
            }
            worst.details.extend(other.details);
        }
        Some(worst)
    }
}

/// A finished check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// Its stable name, e.g. `cli`.
    pub check: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found.
    pub message: String,
    /// What to do about it; empty where nothing has to be done.
    pub remedy: String,
    /// How long it took.
    pub duration: Duration,
    /// Facts for programs.
    pub details: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_finding_leads_and_no_other_problem_is_lost() {
        let worst = Found::worst([
            Found::ok("a is fine").with("a", 1),
            Found::warning("b is odd", "look at b"),
            Found::problem("c is broken", "mend c").with("c", 2),
            Found::problem("d is broken", "mend d"),
        ])
        .unwrap();
        assert_eq!(worst.verdict, Verdict::Problem);
        assert_eq!(worst.message, "c is broken; d is broken; b is odd");
        assert_eq!(worst.remedy, "mend c; mend d; look at b");
        assert_eq!(worst.details.len(), 2);
        assert_eq!(Found::worst([]), None);
        assert_eq!(Found::worst([Found::ok("x"), Found::ok("y")]).unwrap().message, "x");
    }
}
