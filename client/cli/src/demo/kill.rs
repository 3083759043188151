//! The demo's accident: SIGKILL to one process of its own server, and to no other.

use std::{fs, io};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Kills the process, if it is one that the server with this ID has started.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] when it is not; else what the system says.
pub(super) fn kill(process_id: u32, server_id: &str) -> io::Result<()> {
    let pid = i32::try_from(process_id)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no process"))?;
    // The handle first, then the look: the number cannot pass to another process in between.
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let environment = fs::read(format!("/proc/{process_id}/environ"))?;
    let owner = format!("INSTANCE_OWNER={server_id}");
    if !environment.split(|byte| *byte == 0).any(|variable| variable == owner.as_bytes()) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("process {process_id} is not one of this server"),
        ));
    }
    Ok(pidfd_send_signal(handle, Signal::KILL)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_nobodys_server_is_left_alone() {
        let refused = kill(std::process::id(), "no-server").expect_err("it is this test");
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert!(kill(0, "no-server").is_err());
    }
}
