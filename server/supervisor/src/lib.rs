//! The supervisor: starts Claude Code processes, drives one turn at a time through each, and ends
//! them so that nothing is left behind, however the server itself ends.
//!
//! Every CLI runs under a **reaper**, a hidden subcommand of our own binary ([`run_reaper`]). The
//! reaper holds the read end of a *life pipe*; when the write end closes, because the server dropped
//! it or because the server is dead, the whole process tree is killed. The server itself never calls
//! kill(pid).
//!
//! This is the only room that spawns. It must not know conversations, modules, pools or gRPC.

#[cfg(not(target_os = "linux"))]
compile_error!("the reaper is built on Linux process facilities (subreaper, pidfd, /proc)");

mod dirs;
mod environment;
mod error;
mod exit;
mod facts;
mod launch;
mod machine;
mod options;
mod probe;
mod process;
mod reaper;
mod spawn;
mod state;
mod stderr;
mod stderr_feed;
mod supervisor;
mod sweep;

pub use environment::{Login, allowed_environment};
pub use error::{ControlError, SendError, StartError, StatusError};
pub use exit::{ExitCause, ExitInfo, Stop};
pub use facts::{ProcessFacts, SystemState, resident_bytes};
pub use launch::{Launch, Program, Session};
pub use machine::{MachineFacts, MemoryFacts, Room};
pub use options::Options;
pub use probe::{CliVersion, OLDEST_SUPPORTED, ProbeError, probe_version};
pub use process::{Process, StatusReport, TurnUpdates, Vitals};
pub use reaper::run_reaper;
pub use state::{IllegalTransition, ProcessEvent, ProcessState};
pub use stderr_feed::{StderrFeed, StderrPiece, StderrReader};
pub use supervisor::Supervisor;
pub use sweep::SweepReport;
