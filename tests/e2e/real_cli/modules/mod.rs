//! One module asks another through the real CLI: what reaches the model of both, and what comes of its answers.

mod answers;
mod asking;
mod bad_modules;
mod context;
mod deaths;
mod prefix;
mod repair;
mod tags;
mod upgrade;
