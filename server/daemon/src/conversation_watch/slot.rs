//! One turn that a watcher of its conversation follows. It is looked at again only when it has said so: a conversation with
//! a thousand waiting turns costs no more per token than one with none.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use claude_comms_model::TurnId;
use futures_core::Stream as _;

use crate::live::{Detached, Told, TurnWatch};

/// Who polls the watcher; shared by its slots.
#[derive(Debug)]
pub(super) struct Parent(Mutex<Waker>);

impl Parent {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Waker::noop().clone())))
    }

    pub(super) fn set(&self, waker: &Waker) {
        let mut held = self.0.lock().expect("no code panics while it holds a waker");
        held.clone_from(waker);
    }

    fn wake(&self) {
        let waker = self.0.lock().expect("no code panics while it holds a waker").clone();
        waker.wake();
    }
}

#[derive(Debug)]
struct Flag {
    ready: AtomicBool,
    parent: Arc<Parent>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.store(true, Ordering::Release);
        self.parent.wake();
    }
}

/// A turn that is followed.
#[derive(Debug)]
pub(super) struct Slot {
    pub turn: TurnId,
    watch: TurnWatch,
    flag: Arc<Flag>,
    /// A durable event whose number is not the next one yet, with that number.
    pub held: Option<(u64, Told)>,
}

impl Slot {
    pub(super) fn new(turn: TurnId, watch: TurnWatch, parent: &Arc<Parent>) -> Self {
        let flag = Flag { ready: AtomicBool::new(true), parent: Arc::clone(parent) };
        Self { turn, watch, flag: Arc::new(flag), held: None }
    }

    /// What is next of the turn. Pending without a look where nothing has changed, and while an event is held.
    pub(super) fn poll(&mut self) -> Poll<Option<Result<Told, Detached>>> {
        if self.held.is_some() || !self.flag.ready.swap(false, Ordering::Acquire) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.flag));
        let polled = Pin::new(&mut self.watch).poll_next(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            self.flag.ready.store(true, Ordering::Release);
        }
        polled
    }
}
