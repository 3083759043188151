//! A stand-in for the Anthropic Messages API on loopback: what the real Claude CLI talks to in tests. It speaks what the
//! CLI asks for (`POST /v1/messages` with and without streaming, `/v1/messages/count_tokens`), answers as a test told it
//! to, and keeps every request. It knows nothing of claude-comms.

mod api;
mod gate;
mod reply;
mod request;
mod stream;

pub use api::{Ending, MessagesApi};
pub use gate::Gate;
pub use reply::Reply;
pub use request::{Authentication, Request};
