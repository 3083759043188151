//! What Claude is told: the whole prompts, read as a reader would, and what must hold of every one of them.

#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect is to fail")]

mod budget;
mod fields;
mod hostile;
mod overrides;
mod same;
mod scenes;
mod snapshots;
mod standard;
