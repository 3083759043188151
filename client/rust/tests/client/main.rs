//! The client against a fake server whose wire a test can cut.

mod calls;
mod conversation_stream;
mod fake_modules;
mod fake_watch;
mod modules;
mod support;
mod turn_stream;
