//! Signals of the reaper and of its program. Through libc: rustix leaves dispositions to it.

/// Nothing but the life pipe and the CLI's end may end the reaper: a terminal's or a supervisor's TERM
/// is for the server, which then closes the pipe.
pub(super) fn ignore() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
        // SAFETY: SIG_IGN is a valid disposition and no handler runs.
        #[expect(unsafe_code, reason = "rustix has no sigaction")]
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

/// Every signal back to its default: an ignored one survives exec, ours and those of whoever started
/// the server. Async-signal-safe, for between fork and exec.
pub(super) fn reset() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL is valid for all; KILL, STOP and libc's own give EINVAL, which changes nothing.
        #[expect(unsafe_code, reason = "rustix has no sigaction")]
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}
