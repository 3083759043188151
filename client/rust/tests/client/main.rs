//! The client against a fake server whose wire a test can cut.

mod calls;
mod fake_modules;
mod modules;
mod support;
mod turn_stream;
