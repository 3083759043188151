//! What needs the real Claude Code CLI, against the stand-in for the Messages API.

mod by_hand;
