//! The one `get_status` request that may be under way in a process. It must not know why it is asked.

use std::time::Duration;

use claude_comms_stream_json::{
    input::{ControlRequest, Request as CliRequest},
    output::StatusResponse,
};
use tokio::{sync::oneshot, time::Instant};

use super::{codec::STATUS, task::ProcessTask};
use crate::{ProcessState, StatusError};

/// A CLI that has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    /// From the request to its answer; 1 to 12 ms on CLI 2.1.330. Longer than the time the asker had, if the
    /// answer is that to an earlier request which came too late.
    pub response_time: Duration,
    /// What it said; `None` if it does not know the request, which is a sign of life too.
    pub answer: Option<StatusResponse>,
}

/// What is known of a request whose asker has waited long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// The process is silent.
    Silent,
    /// It was not read from, because its consumer is slow: it may have answered.
    Held,
}

type Reply = oneshot::Sender<Result<StatusReport, StatusError>>;

/// The request under way. Never a second one: a process that does not read would be sent ever more.
#[derive(Debug, Default)]
pub(super) struct StatusAsk {
    number: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    sent: Instant,
    /// Whether the process was not read from in the meantime.
    held: bool,
    asker: Option<Reply>,
}

impl StatusAsk {
    pub(super) fn answered(&mut self, number: u64, answer: Option<StatusResponse>) {
        if number != self.number {
            return;
        }
        if let Some(Open { sent, asker: Some(asker), .. }) = self.open.take() {
            // An asker that no longer waits has learned nothing; the next one will.
            let _gone = asker.send(Ok(StatusReport { response_time: sent.elapsed(), answer }));
        }
    }

    /// The process is not read from for now.
    pub(super) fn held(&mut self) {
        if let Some(open) = &mut self.open {
            open.held = true;
        }
    }

    pub(super) fn late(&mut self, is_clogged: bool) -> Late {
        let Some(open) = &mut self.open else { return Late::Silent };
        open.asker = None;
        let was_held = std::mem::replace(&mut open.held, is_clogged);
        if was_held || is_clogged { Late::Held } else { Late::Silent }
    }
}

impl ProcessTask {
    pub(super) fn ask_status(&mut self, reply: Reply) {
        let refused = match *self.state.borrow() {
            ProcessState::Paused => Some(StatusError::Paused),
            // To be written to before `initialize` is no part of the CLI's language.
            ProcessState::Parked => Some(StatusError::Parked),
            ProcessState::Stopping | ProcessState::Exited(_) => Some(StatusError::Exited),
            _ if !self.outgoing.is_open() => Some(StatusError::Exited),
            _ => None,
        };
        if let Some(refused) = refused {
            let _gone = reply.send(Err(refused));
            return;
        }
        let held = self.is_clogged();
        if let Some(open) = &mut self.status.open {
            open.asker = Some(reply);
            return;
        }
        self.status.number += 1;
        let request_id = format!("{STATUS}{}", self.status.number);
        let request = ControlRequest { request_id: &request_id, request: CliRequest::GetStatus };
        self.outgoing.put(|lines| request.write_line(lines));
        self.status.open = Some(Open { sent: Instant::now(), held, asker: Some(reply) });
    }
}
