//! Health: how each process is ([`watch_instances`] asks, `findings` judges). It acts on nothing that it finds.

mod findings;
mod sampler;

pub(crate) use findings::{Condition, Finding};
pub(crate) use sampler::{Watched, watch_instances};
