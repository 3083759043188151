//! The claude-comms server: keeps Claude processes warm behind gRPC and never loses a turn.
//!
//! Start at [`Server`]; a turn's way goes through `grpc` (checks), [`dispatcher`] (who runs next), `turn` (one turn to
//! its end), [`live`] (its watchers), `conversation_watch` (those of all a conversation's turns). server/README.md has the map, the invariants and the decisions.

pub mod auth;
pub mod backend;
pub mod budget;
pub mod condition;
pub mod config;
mod conversation_watch;
pub mod diagnosis;
pub mod dispatcher;
mod drain;
pub mod grpc;
mod health;
pub mod hub;
pub mod listen;
pub mod live;
pub mod login;
mod memory;
pub mod modules;
pub mod monitor;
mod pair;
mod pool;
pub mod query;
mod recovery;
pub mod server;
mod serving;
pub mod telemetry;
pub mod tls;
mod transcript;
mod turn;

pub use server::{RunError, Server, StartError};
