//! Health: how each process is ([`watch_instances`] asks, `findings` judges), and what that of the services is
//! ([`Serving`]). It acts on nothing that it finds: the dispatcher does.

mod findings;
mod sampler;
mod serving;
mod weighing;

pub(crate) use findings::{Condition, Finding};
pub(crate) use sampler::{Watched, watch_instances};
pub(crate) use serving::Serving;
pub(crate) use weighing::weigh_instances;
