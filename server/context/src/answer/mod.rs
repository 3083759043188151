//! stub
use serde_json::Value;
/// s
#[derive(Debug, Clone)]
pub struct OutputSchema(String);
/// s
#[derive(Debug, Clone)]
pub struct Finding { /// s
 pub path: String, /// s
 pub message: String }
impl std::fmt::Display for Finding { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{}: {}", self.path, self.message) } }
/// s
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct SchemaProblem;
impl OutputSchema { /// s
 pub fn compile(t: &str) -> Result<Self, SchemaProblem> { Ok(Self(t.to_owned())) } /// s
 pub fn text(&self) -> &str { &self.0 } }
/// s
pub enum Answer { /// s
 Text, /// s
 Data { /// s
 json: String, /// s
 value: Value }, /// s
 Unanswerable { /// s
 why: String }, /// s
 Invalid { /// s
 findings: Vec<Finding> } }
/// s
pub fn read(_t: &str, _s: Option<&OutputSchema>) -> Answer { Answer::Text }
/// s
pub fn repair_message(_f: &[Finding], _s: &OutputSchema) -> String { String::new() }
