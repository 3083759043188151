//! Tests that run a session in this process, with lines in and lines out.

mod answers;
mod harness;
mod interrupts;
mod requests;
mod scenario_files;
mod sessions;
mod steps;
