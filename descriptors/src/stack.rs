//! Work that recurses deep, on a thread whose stack is large enough for it.

use std::{
    cell::Cell,
    io,
    panic::resume_unwind,
    thread::{self, Builder},
};

/// The YAML and JSON Schema crates recurse with frames of up to 50 KiB a level in debug builds. 64 levels of that overflow a
/// thread of 2 MiB, as runtimes and tests have, and that would end the process.
const STACK_BYTES: usize = 32 << 20;

thread_local! {
    static LARGE: Cell<bool> = const { Cell::new(false) };
}

/// Does the work on such a thread: this one, if it is one, since a thread for each of ten thousand files takes longer than
/// the files.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn with_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    if LARGE.get() {
        return Ok(work());
    }
    thread::scope(|scope| {
        let thread = Builder::new().name("descriptors".to_owned()).stack_size(STACK_BYTES);
        let running = thread.spawn_scoped(scope, || {
            LARGE.set(true);
            work()
        })?;
        Ok(running.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}
