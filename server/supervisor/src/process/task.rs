//! The loop that owns one process: its reaper, pipes and codec. Reads and writes at once, serves requests
//! while the consumer is slow, and is the only one to change the state. It must not know why a turn runs.

use std::{io, process::ExitStatus};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, ChildStderr, ChildStdout},
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tracing::{debug, error, warn};

use claude_comms_stream_json::input::{ControlRequest, Initialize, Request as CliRequest};

use super::{
    Request,
    codec::{Codec, Decoded, INITIALIZE},
    outgoing::Outgoing,
    phase::{DRAIN_LIMIT, Overdue, Phase, REAPER_LIMIT},
    status::StatusAsk,
    turn::{Delivery, Turn},
    watchdog::Heard,
};
use crate::{
    ExitCause, ExitInfo, Options, ProcessEvent, ProcessState,
    spawn::{Life, Spawned},
    stderr_feed::StderrFeed,
};

/// What the process said of itself when it was ready.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) process_id: u32,
    pub(crate) cli_version: String,
    pub(crate) stderr: StderrFeed,
}

#[derive(Debug)]
pub(crate) struct ProcessTask {
    pub(super) options: Options,
    pub(super) reaper: Child,
    /// `None` once the tree was ordered to die.
    pub(super) life: Option<Life>,
    pub(super) outgoing: Outgoing,
    pub(super) stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    stderr_room: Box<[u8; 4096]>,
    remembered: StderrFeed,
    pub(super) codec: Codec,
    pub(super) turn: Option<Turn>,
    /// `None` once all handles are gone.
    requests: Option<mpsc::Receiver<Request>>,
    pub(super) state: watch::Sender<ProcessState>,
    ready: Option<oneshot::Sender<Ready>>,
    pub(super) phase: Phase,
    /// Why it ends, once that is decided.
    pub(super) cause: Option<ExitCause>,
    /// Set when the reaper was waited for, until the exit is published.
    exit_code: Option<Option<i32>>,
    pub(super) interrupts: u32,
    pub(super) status: StatusAsk,
    pub(super) heard: Heard,
    /// Why it takes no more turns, if that is so.
    pub(super) distrusted: Option<&'static str>,
}

enum Step {
    Asked(Option<Request>),
    Read(io::Result<usize>),
    ReadStderr(io::Result<usize>),
    Wrote(io::Result<usize>),
    Room,
    Reaped(io::Result<ExitStatus>),
    Deadline,
}

impl ProcessTask {
    /// Is ready to [`run`](Self::run); nothing was written yet.
    pub(crate) fn new(
        spawned: Spawned,
        options: Options,
        requests: mpsc::Receiver<Request>,
        state: watch::Sender<ProcessState>,
    ) -> Self {
        Self {
            reaper: spawned.reaper,
            life: Some(spawned.life),
            outgoing: Outgoing::new(spawned.stdin),
            stdout: Some(spawned.stdout),
            stderr: Some(spawned.stderr),
            stderr_room: Box::new([0; 4096]),
            remembered: StderrFeed::new(options.stderr_ring_bytes),
            codec: Codec::new(options.line_limit_bytes),
            turn: None,
            requests: Some(requests),
            state,
            ready: None,
            phase: Phase::Live { overdue: None },
            cause: None,
            exit_code: None,
            interrupts: 0,
            status: StatusAsk::default(),
            heard: Heard::new(),
            distrusted: None,
            options,
        }
    }

    /// Writes `initialize`. `ready` is told when it was answered.
    pub(crate) fn initialize(&mut self, system_prompt: Option<&str>, ready: oneshot::Sender<Ready>) {
        // Not left out when there is none: the CLI would put its own in its place, with the path of the working directory.
        let prompt = Some(system_prompt.unwrap_or_default());
        let request = CliRequest::Initialize(Initialize::with_system_prompt(prompt));
        self.outgoing.put(|lines| ControlRequest { request_id: INITIALIZE, request }.write_line(lines));
        self.ready = Some(ready);
    }

    /// What it says on stderr.
    pub(crate) fn stderr_feed(&self) -> StderrFeed {
        self.remembered.clone()
    }

    /// Runs until the process is gone, its exit is published and its last output is delivered.
    pub(crate) async fn run(mut self) {
        while !self.is_finished() {
            match self.step().await {
                Step::Asked(Some(request)) => self.serve(request),
                Step::Asked(None) => {
                    self.requests = None;
                    self.kill(ExitCause::Killed);
                }
                Step::Read(result) => self.take_output(result),
                Step::ReadStderr(result) => self.take_stderr(result),
                Step::Wrote(result) => self.outgoing.wrote(result),
                Step::Room => self.deliver_waiting(),
                Step::Reaped(status) => self.take_exit(status),
                Step::Deadline => self.take_deadline(),
            }
            self.publish_exit();
        }
    }

    /// Waits for whatever happens first. Every arm is cancel safe: what is not chosen is not lost.
    async fn step(&mut self) -> Step {
        let clogged = self.is_clogged();
        let deadline = self.phase.deadline(clogged);
        let reaped = matches!(self.phase, Phase::Reaped { .. });
        let codec = &mut self.codec;
        tokio::select! {
            request = receive(&mut self.requests) => Step::Asked(request),
            // Back-pressure: what the consumer has no room for stays in the pipe.
            result = read(&mut self.stdout, || codec.space()), if !clogged => Step::Read(result),
            () = room(&self.turn), if clogged => Step::Room,
            result = self.outgoing.write() => Step::Wrote(result),
            result = read(&mut self.stderr, || &mut self.stderr_room[..]) => Step::ReadStderr(result),
            status = self.reaper.wait(), if !reaped => Step::Reaped(status),
            () = sleep_until(deadline) => Step::Deadline,
        }
    }

    pub(super) fn is_clogged(&self) -> bool {
        self.turn.as_ref().is_some_and(Turn::is_clogged)
    }

    fn is_finished(&self) -> bool {
        let exited = self.state.borrow().exit().is_some();
        exited && self.stdout.is_none() && !self.is_clogged()
    }

    fn take_output(&mut self, result: io::Result<usize>) {
        let count = match result {
            Ok(count) if count > 0 => count,
            // A process that died in the middle of a line has no more to say; its exit follows.
            _ => return self.end_output(),
        };
        let mut decoded = Decoded::default();
        let broken = self.codec.decode(count, &mut decoded).err();
        if decoded.is_working {
            self.heard.now();
        }
        self.outgoing.put(|lines| lines.extend_from_slice(&decoded.replies));
        match decoded.initialized {
            Some(Ok(answer)) => {
                self.transition(ProcessEvent::Initialized);
                let ready = Ready {
                    process_id: answer.pid.unwrap_or_default(),
                    cli_version: answer.claude_code_version.unwrap_or_default(),
                    stderr: self.remembered.clone(),
                };
                if let Some(starter) = self.ready.take() {
                    // A starter that gave up has dropped its handle, which is seen next.
                    let _gave_up = starter.send(ready);
                }
            }
            Some(Err(message)) => {
                self.kill(ExitCause::Protocol(format!("initialize was refused: {message}")))
            }
            None => {}
        }
        if let Some((number, answer)) = decoded.status {
            self.status.answered(number, answer);
        }
        if let Some(turn) = &mut self.turn {
            let state = &self.state;
            let delivery = turn.deliver(decoded.updates, || transition(state, ProcessEvent::TurnEnded));
            self.after(delivery);
        }
        if let Some(message) = broken {
            self.kill(ExitCause::Protocol(message));
        }
        if let Some(stray) = decoded.stray {
            self.distrust(stray);
        }
    }

    fn deliver_waiting(&mut self) {
        self.phase.unclogged(Instant::now());
        if let Some(turn) = &mut self.turn {
            let state = &self.state;
            let delivery = turn.retry(|| transition(state, ProcessEvent::TurnEnded));
            self.after(delivery);
        }
        if self.stdout.is_none() && !self.is_clogged() {
            self.turn = None;
        }
    }

    fn after(&mut self, delivery: Delivery) {
        if delivery == Delivery::Clogged {
            self.status.held();
        }
        if delivery == Delivery::TurnEnded {
            self.turn = None;
            if let Phase::Live { overdue } = &mut self.phase {
                overdue.take_if(|(_, what)| *what == Overdue::Interrupt);
            }
            self.retire_if_free();
        }
    }

    fn end_output(&mut self) {
        self.stdout = None;
        if !self.is_clogged() {
            // The consumer learns that no more comes.
            self.turn = None;
        }
        if let Phase::Live { overdue } = &mut self.phase {
            *overdue = Some((Instant::now() + self.options.stop_grace, Overdue::ExitAfterEof));
        }
    }

    fn take_stderr(&mut self, result: io::Result<usize>) {
        match result {
            Ok(count) if count > 0 => self.remembered.extend(&self.stderr_room[..count]),
            _ => self.stderr = None,
        }
    }

    fn take_exit(&mut self, status: io::Result<ExitStatus>) {
        let code = status.ok().and_then(|status| status.code());
        self.exit_code = Some(code);
        self.life = None;
        self.outgoing.close_now();
        self.phase = Phase::Reaped { until: Instant::now() + DRAIN_LIMIT };
    }

    fn take_deadline(&mut self) {
        let now = Instant::now();
        match self.phase {
            Phase::Live { overdue: Some((_, what)) } => {
                self.kill(ExitCause::Protocol(what.message().to_owned()))
            }
            Phase::Live { overdue: None } => {}
            Phase::Closing { .. } => {
                let cause = match self.cause.take() {
                    Some(ExitCause::Stopped) | None => ExitCause::Killed,
                    Some(cause) => cause,
                };
                self.kill(cause);
            }
            Phase::Killing { .. } => {
                // Stopped, or stuck with a process that cannot die. It is our child, not yet waited for.
                error!("reaper did not end in time, killing it");
                if let Err(error) = self.reaper.start_kill() {
                    warn!(%error, "reaper could not be killed");
                }
                self.phase = Phase::Killing { until: now + REAPER_LIMIT };
            }
            Phase::Reaped { .. } => {
                // Somebody who escaped the tree holds the pipes.
                self.stderr = None;
                if !self.is_clogged() {
                    self.stdout = None;
                    self.turn = None;
                }
                self.phase = Phase::Reaped { until: now + DRAIN_LIMIT };
            }
        }
    }

    /// Publishes the exit once it is known and stderr is complete. Stdout may still wait for its consumer:
    /// that must not hold up whoever waits for the exit.
    fn publish_exit(&mut self) {
        if self.stderr.is_some() {
            return;
        }
        let Some(code) = self.exit_code.take() else { return };
        let cause = self.cause.take().unwrap_or(ExitCause::Crashed);
        let info = ExitInfo { code, cause, stderr: self.remembered.tail() };
        self.remembered.close();
        debug!(code = info.code, cause = info.cause.as_str(), "process exited");
        self.transition(ProcessEvent::Exited(info));
        self.ready = None;
    }

    pub(super) fn transition(&self, event: ProcessEvent) {
        transition(&self.state, event);
    }
}

fn transition(state: &watch::Sender<ProcessState>, event: ProcessEvent) {
    state.send_if_modified(|state| match state.clone().next(event) {
        Ok(next) => {
            let changed = *state != next;
            *state = next;
            changed
        }
        Err(illegal) => {
            error!(error = %illegal, "illegal transition of a process");
            false
        }
    });
}

async fn receive(requests: &mut Option<mpsc::Receiver<Request>>) -> Option<Request> {
    match requests {
        Some(requests) => requests.recv().await,
        None => std::future::pending().await,
    }
}

async fn read<'a, R: AsyncRead + Unpin>(
    from: &mut Option<R>,
    room: impl FnOnce() -> &'a mut [u8],
) -> io::Result<usize> {
    match from {
        Some(from) => from.read(room()).await,
        None => std::future::pending().await,
    }
}

async fn room(turn: &Option<Turn>) {
    match turn {
        Some(turn) => turn.room().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
