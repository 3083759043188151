//! Grading: what of a question's demands an answer keeps. Pure.

use std::fmt;

use claude_comms_context::answer::{Answer, read};

use crate::question::Question;

/// What an answer is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grade {
    /// It fits the schema, holds every fact and nothing that must not be there.
    Right,
    /// It does not; each reason.
    Wrong(Vec<String>),
}

impl Grade {
    pub(crate) fn is_right(&self) -> bool {
        *self == Self::Right
    }
}

/// In one word.
impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.is_right() { "right" } else { "wrong" })
    }
}

impl Question {
    /// Grades the text of an answer.
    pub(crate) fn grade(&self, text: &str) -> Grade {
        let mut reasons = match read(text, self.schema.as_ref()) {
            Answer::Unanswerable { why } => vec![format!("it says that it does not know: {why}")],
            Answer::Invalid { findings } => {
                findings.iter().map(|finding| format!("does not fit the schema: {finding}")).collect()
            }
            Answer::Text | Answer::Data { .. } => Vec::new(),
        };
        let missing = self.facts.iter().filter(|fact| !fact.is_in(text));
        reasons.extend(missing.map(|fact| format!("missing: {}", fact.text)));
        let there = self.never.iter().filter(|never| never.is_in(text));
        reasons.extend(there.map(|never| format!("must not be there: {}", never.text)));
        if reasons.is_empty() { Grade::Right } else { Grade::Wrong(reasons) }
    }
}

#[cfg(test)]
mod tests {
    use claude_comms_tests::tools;

    use super::Grade;
    use crate::question;

    fn all() -> Vec<question::Question> {
        question::read(&tools::repository().join("tests/live/questions.yaml")).unwrap()
    }

    #[test]
    fn there_are_twenty_questions_and_each_knows_right_from_wrong() {
        let questions = all();
        assert_eq!(questions.len(), 20);
        for question in questions {
            assert_eq!(question.grade(&question.right), Grade::Right, "{}", question.id);
            assert_ne!(question.grade(&question.wrong), Grade::Right, "{}", question.id);
        }
    }

    #[test]
    fn every_reason_is_named() {
        let questions = all();
        let named = |id: &str| questions.iter().find(|question| question.id == id).unwrap();
        let page = named("page-of-a-chunk");
        let Grade::Wrong(reasons) = page.grade("```json\n{\"page\": 57}\n```") else { panic!("it is wrong") };
        assert!(reasons[0].starts_with("does not fit the schema: "), "{reasons:?}");
        assert_eq!(reasons[1..].len(), 3, "{reasons:?}");
        assert!(reasons[1].starts_with("missing: "), "{reasons:?}");
        assert!(reasons.last().unwrap().starts_with("must not be there: "), "{reasons:?}");
        let Grade::Wrong(reasons) = page.grade("```unanswerable\nnobody told me\n```") else {
            panic!("it is wrong")
        };
        assert_eq!(reasons[0], "it says that it does not know: nobody told me");
    }

    #[test]
    fn facts_are_found_in_any_case_and_over_lines() {
        let questions = all();
        let question = questions.iter().find(|question| question.id == "edges-live-where").unwrap();
        assert!(!question.grade("In an EDGE\nCollection.\nWhole _ids: papers/x").is_right());
        assert!(question.grade("In an EDGE COLLECTION.\nWhole ids: papers/x").is_right());
    }
}
