//! SIGTERM, SIGHUP and SIGINT as the real CLI takes them: exit 143, exit 129,
//! and an orderly end. Owns the thread that waits for them; std cannot, and a
//! handler of our own would need unsafe code.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::inbox::Event;

/// What SIGTERM does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnTerminate {
    Exit,
    Ignore,
}

/// Waits for signals on a thread of its own; returns when their default effect is off.
pub(crate) fn watch(on_terminate: OnTerminate, events: SyncSender<Event>) {
    let (installed, ready) = sync_channel(1);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let handlers =
                [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()].map(signal);
            let [Ok(terminate), Ok(hangup), Ok(interrupt)] = handlers else { return };
            // The receiver only waits for this; it cannot be gone.
            let _ = installed.send(());
            wait(terminate, hangup, interrupt, on_terminate, &events).await;
        });
    });
    // A thread that could not install drops its end: the signals keep their default effect.
    let _ = ready.recv();
}

async fn wait(
    mut terminate: Signal,
    mut hangup: Signal,
    mut interrupt: Signal,
    on_terminate: OnTerminate,
    events: &SyncSender<Event>,
) {
    loop {
        tokio::select! {
            // At once, whatever the session does: it may be blocked in a write that nobody reads.
            _ = terminate.recv() => if on_terminate == OnTerminate::Exit { std::process::exit(143) },
            _ = hangup.recv() => std::process::exit(129),
            _ = interrupt.recv() => if events.send(Event::Interrupt).is_err() { return },
        }
    }
}
