//! What the dispatcher's task is told.

use std::{sync::Arc, time::Duration};

use claude_comms_model::{ConversationId, Instance, InstanceExit, InstanceId, Turn, TurnId, Usage};
use tokio::sync::oneshot;

use super::{InstanceView, Load, NewInstance, NewTurn, Refused, Submitted, spares::SpareNews};
use crate::{
    backend::Running,
    health::{Finding, Watched},
    live::LiveTurn,
    pair::Pair,
};

/// How a lease comes back.
#[derive(Debug, Default)]
pub(crate) struct LeaseReport {
    /// The process, if it lives.
    pub running: Option<Running>,
    /// How its process ended, if it did.
    pub exit: Option<InstanceExit>,
    /// What the turn cost, if one ended.
    pub turn: Option<(Usage, f64)>,
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refused>>;

/// One message. The first group comes from the handle, the second from the tasks of turns and processes.
#[derive(Debug)]
pub(crate) enum Command {
    Submit(Box<NewTurn>, Reply<Submitted>),
    Recover(Box<Turn>, Pair, Arc<LiveTurn>, oneshot::Sender<()>),
    Restore(Box<Instance>, Pair, oneshot::Sender<()>),
    StartInstance(Box<NewInstance>, Reply<InstanceView>),
    StopInstance(InstanceId, bool, Reply<InstanceView>),
    PauseInstance(InstanceId, Reply<InstanceView>),
    ResumeInstance(InstanceId, Reply<InstanceView>),
    InterruptInstance(InstanceId, Reply<InstanceView>),
    FindInstance(String, Reply<InstanceView>),
    Instances(oneshot::Sender<Vec<InstanceView>>),
    Load(oneshot::Sender<Load>),
    Vitals(oneshot::Sender<Vec<Watched>>),
    /// What a process takes with all that it started: its number, bytes.
    Weighed(InstanceId, u32, u64),
    Checked(InstanceId, Box<Finding>),
    Drain(Duration, oneshot::Sender<()>),

    /// A turn's task is done with it; its conversation's next one may run.
    TurnDone(TurnId, ConversationId),
    /// A lease came back.
    Returned(InstanceId, Box<LeaseReport>),
    /// The holder of a lease started a process.
    ProcessStarted(InstanceId, Box<Running>),
    /// An instance that a user asked for is ready, or could not be started.
    InstanceReady(InstanceId, Box<Running>, Reply<InstanceView>),
    InstanceFailed(InstanceId, Refused, Reply<InstanceView>),
    /// Something of spares.
    Spare(SpareNews),
    /// A process ended while nobody held it.
    ProcessGone(InstanceId, u32, InstanceExit),
    /// The process of a paused instance was told to stop (`true`) or to go on.
    ProcessTold(InstanceId, bool),
    /// An instance's last process is gone.
    Stopped(InstanceId, Option<InstanceExit>),
    /// A stopping instance's turn has had its grace.
    StopGraceOver(InstanceId),
    /// What waited for memory that other starts take may look again.
    StartsSettle,
    /// Draining has had its time.
    DrainGraceOver,
}
