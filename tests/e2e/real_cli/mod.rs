//! What needs the real Claude Code CLI, against the stand-in for the Messages API.

mod by_hand;
mod cancellation;
mod confinement;
mod control;
mod conversations;
mod doctor;
mod health;
mod instances;
mod isolation;
mod kills;
mod limits;
mod modules;
mod oauth;
mod peers;
mod process_death;
mod recovery;
mod refusals;
mod requests;
mod secrets;
mod server_death;
mod spares;
mod stage;
mod streams;
mod verbatim;
