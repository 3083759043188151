//! The server's promises in front of simulated Claudes: what needs no real CLI, only its language, its faults and its pace.

mod admission;
mod bad_commands;
mod bad_requests;
mod bad_starts;
mod claude_binary;
mod command_line;
mod completions;
mod control;
mod demo;
mod doctor;
mod faults;
mod flat;
mod found;
mod health;
mod health_services;
pub(crate) mod isolation;
mod kills;
mod leaving;
mod limits;
mod modules;
mod order;
mod peers;
mod pool;
mod processes;
mod recovery;
mod restart;
mod secure;
mod settings;
mod stalled;
pub(crate) mod support;
pub(crate) mod telemetry;
mod tls;
mod tokens;
mod watch_conversation;
mod watching;

pub(crate) use support::turns;
