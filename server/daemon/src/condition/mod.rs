//! What is known of the backend as a whole: whether processes can be started at all (`circuit`), what the account may do
//! (`account`), and how many retries the server may still make (`retries`). Turns and the dispatcher ask and tell; nothing here starts or ends anything.

mod account;
mod circuit;
mod loss;
mod retries;
mod trial;

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use claude_comms_stream_json::turn::RateLimitInfo;
use claude_comms_supervisor::{ExitInfo, StartError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::account::Account;
use self::{
    account::Accounts,
    circuit::{Circuit, Permit, State},
    loss::Loss,
};
pub(crate) use self::{
    account::PATIENCE,
    loss::start_cause,
    retries::{AFTER_API_ERROR, AFTER_LOSS, delay},
    trial::Trial,
};
use crate::telemetry::Figures;

/// How the backend is, shared by all who start processes; cheap to clone.
#[derive(Debug, Clone)]
pub struct BackendCondition(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Notify,
    /// Whether the account was last seen to be limited: looked at without the lock, changed with it.
    limited: AtomicBool,
    /// Turns that wait, and of which nothing runs, are to wait in the store from now on.
    let_go: CancellationToken,
    figures: Figures,
}

#[derive(Debug)]
struct Inner {
    circuit: Circuit,
    /// Of the last process that was lost.
    loss: Option<Loss>,
    budget: retries::Budget,
    accounts: Accounts,
}

/// Whether processes are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// As they are needed.
    Available,
    /// Processes were lost since the last good turn; if starts were held back, one is let through to see.
    BackingOff,
    /// None, until the pause is over.
    Open,
}

/// The backend's condition at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Whether processes are started.
    pub starts: Starts,
    /// What the last lost process came to, without its words: for everybody. Empty when all is well.
    pub cause: String,
    /// The same with the last line that it said: for who looks after the server.
    pub reason: String,
    /// Processes lost in a row.
    pub failures: u32,
    /// How long until one is started again.
    pub retry_after: Option<Duration>,
}

impl BackendCondition {
    /// Of a backend about which nothing bad is known.
    pub fn new(figures: Figures) -> Self {
        let inner = Inner {
            circuit: Circuit::new(),
            loss: None,
            budget: retries::Budget::default(),
            accounts: Accounts::default(),
        };
        let (inner, limited) = (Mutex::new(inner), AtomicBool::new(false));
        let let_go = CancellationToken::new();
        Self(Arc::new(Shared { inner, changed: Notify::new(), limited, let_go, figures }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().expect("no code panics while it holds the condition")
    }

    /// What it counts in.
    pub fn figures(&self) -> &Figures {
        &self.0.figures
    }

    /// Waits until a process may be started. `waits` is called once, if that is not at once. With a [`Trial`], the process
    /// decides whether others are started.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing was let through then.
    pub(crate) async fn may_start(&self, mut waits: impl FnMut()) -> Option<Trial> {
        let mut told = false;
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let until = match self.inner().circuit.ask(Instant::now()) {
                Permit::Start => return None,
                Permit::Trial(number) => return Some(Trial::new(self.clone(), number)),
                Permit::Wait(until) => until,
            };
            if !std::mem::replace(&mut told, true) {
                waits();
            }
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                () = changed => {}
            }
        }
    }

    /// The condition, if no process may be started now.
    pub(crate) fn blocked(&self) -> Option<View> {
        self.inner().circuit.would_wait(Instant::now())?;
        Some(self.view())
    }

    /// Whether nothing is held against starts: a process that nobody waits for must not be the next to be lost.
    pub(crate) fn starts_freely(&self) -> bool {
        self.inner().circuit.state() == State::Closed
    }

    /// How it is.
    pub fn view(&self) -> View {
        let inner = self.inner();
        let retry_after = inner
            .circuit
            .would_wait(Instant::now())
            .map(|until| until.saturating_duration_since(Instant::now()));
        let starts = match inner.circuit.state() {
            State::Closed if inner.circuit.failures() == 0 => Starts::Available,
            State::Open { .. } if retry_after.is_some() => Starts::Open,
            State::Closed | State::HalfOpen | State::Open { .. } => Starts::BackingOff,
        };
        let retry_after = retry_after.filter(|_| starts == Starts::Open);
        let cause = inner.loss.as_ref().map(|loss| loss.cause.clone()).unwrap_or_default();
        let reason = inner.loss.as_ref().map(Loss::reason).unwrap_or_default();
        View { starts, cause, reason, failures: inner.circuit.failures(), retry_after }
    }

    /// A process is gone. Only of one that nobody had asked to end something follows.
    pub(crate) fn process_gone(&self, exit: &ExitInfo) {
        if let Some(loss) = Loss::of_exit(exit) {
            self.lost(loss);
        }
    }

    /// A process could not be started.
    pub(crate) fn start_failed(&self, error: &StartError) {
        self.lost(Loss::of_start(error));
    }

    fn lost(&self, loss: Loss) {
        let mut inner = self.inner();
        inner.loss = Some(loss);
        let opened = inner.circuit.failed(Instant::now(), dice());
        let failures = inner.circuit.failures();
        drop(inner);
        if opened {
            // What a process said may quote a prompt: it is told to who asks, not put into the log.
            tracing::error!(failures, "processes die one after the other; no more are started for now");
            self.0.figures.starts_are_held(true);
        }
        self.0.changed.notify_waiters();
    }

    /// A process ended a turn with a word of its own, whatever that was.
    pub(crate) fn turn_ended(&self, trial: Option<Trial>) {
        match trial {
            Some(trial) => trial.worked(),
            None => self.process_works(None),
        }
    }

    fn process_works(&self, trial: Option<u64>) {
        let mut inner = self.inner();
        if inner.circuit.failures() == 0 && inner.circuit.state() == State::Closed {
            return;
        }
        let closed = inner.circuit.succeeded(trial);
        if inner.circuit.failures() == 0 {
            inner.loss = None;
        }
        drop(inner);
        if closed {
            tracing::info!("processes work again");
            self.0.figures.starts_are_held(false);
        }
        self.0.changed.notify_waiters();
    }

    fn trial_given_up(&self, number: u64) {
        self.inner().circuit.given_up(number, Instant::now());
        self.0.changed.notify_waiters();
    }

    /// The API told something of the account's limits.
    pub(crate) fn account_said(&self, info: &RateLimitInfo) {
        self.account_is(Account::said(info));
    }

    /// The API refused a call and told to come back after `delay`.
    pub(crate) fn told_to_wait(&self, delay: Duration) {
        if delay > PATIENCE
            && let Some(until) = SystemTime::now().checked_add(delay)
        {
            self.account_is(Account::told_to_wait(until));
        }
    }

    fn account_is(&self, account: Account) {
        let mut inner = self.inner();
        inner.accounts.told(account);
        let until = inner.accounts.blocked(SystemTime::now());
        let changed = self.0.limited.swap(until.is_some(), Ordering::Relaxed) != until.is_some();
        self.0.figures.account_is_limited(until.is_some());
        drop(inner);
        if changed {
            match until {
                Some(until) => tracing::warn!(
                    until = %humantime::format_rfc3339_seconds(until),
                    "the account's limit with the Messages API is reached; turns wait"
                ),
                None => tracing::info!("the account's limit with the Messages API is lifted"),
            }
        }
    }

    /// Until when the API takes no calls of the account.
    pub(crate) fn account_blocked(&self) -> Option<SystemTime> {
        if !self.0.limited.load(Ordering::Relaxed) {
            return None;
        }
        let inner = self.inner();
        let until = inner.accounts.blocked(SystemTime::now());
        if until.is_none() {
            self.0.limited.store(false, Ordering::Relaxed);
            self.0.figures.account_is_limited(false);
        }
        until
    }

    /// Of the account's limits the one that holds the longest, or that was told last, if the API told any.
    pub fn account(&self) -> Option<Account> {
        self.inner().accounts.shown(SystemTime::now()).cloned()
    }

    /// Cancelled when the server ends: turns that wait, and of which nothing runs, wait in the store from then on.
    pub(crate) fn let_go(&self) -> &CancellationToken {
        &self.0.let_go
    }

    /// Takes one of the retries that the server may make in a minute.
    pub(crate) fn take_retry(&self, per_minute: u32) -> bool {
        let taken = self.inner().budget.take(Instant::now(), per_minute);
        if !taken {
            tracing::warn!(
                per_minute,
                "a turn is not tried again: the retries of this minute are spent (retry.budget)"
            );
            self.0.figures.retry_refused();
        }
        taken
    }
}

/// A number from 0 to 1.
pub(crate) fn dice() -> f64 {
    let (_, low) = Uuid::new_v4().as_u64_pair();
    f64::from((low & 0xffff_ffff) as u32) / f64::from(u32::MAX)
}
