//! What operators type to see instances, once or as they go on.

use clap::Args;

use super::InstanceId;

#[derive(Debug, Args)]
pub(crate) struct ListInstances {
    /// Also those that are stopped
    #[arg(long, conflicts_with = "watch")]
    pub(crate) all: bool,
    /// Go on and show what changes, until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MonitorInstance {
    #[command(flatten)]
    pub(crate) target: InstanceId,
    /// Begin with what was kept after this event; 0 is everything [default: now]
    #[arg(long, value_name = "SEQUENCE")]
    pub(crate) from: Option<u64>,
}
