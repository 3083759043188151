//! What the end-to-end tests stand on: a server in its own temporary world, a stand-in for the Messages API, the
//! process table, and raw clients made from the contract alone. It knows no server crate: everything is tested from outside.

pub mod claude_by_hand;
pub mod client;
pub mod command_line;
pub mod conversation_watcher;
pub mod cutting_proxy;
pub mod messages_api;
pub mod processes;
pub mod report;
pub mod seed;
pub mod server;
pub mod spawn;
pub mod tls;
pub mod tools;
pub mod wait;
pub mod world;

pub use client::Client;
pub use command_line::Ran;
pub use messages_api::{Gate, MessagesApi, Reply};
pub use server::TestServer;
pub use wait::{PATIENCE, eventually, within};
