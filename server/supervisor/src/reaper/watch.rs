//! The reaper's waiting: for the life pipe's end, the CLI's end, and the commands in between.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Pid, Signal, kill_process_group},
};

/// One-byte commands on the life pipe.
pub(crate) const PAUSE: u8 = b'p';
pub(crate) const CONTINUE: u8 = b'c';

/// Returns when the life pipe has closed or the CLI has exited. Until then pauses and continues the
/// CLI's process group as told.
pub(super) fn until_the_end(life: &OwnedFd, cli_ended: &OwnedFd, cli: Pid) {
    loop {
        let mut watched = [PollFd::new(life, PollFlags::IN), PollFd::new(cli_ended, PollFlags::IN)];
        match poll(&mut watched, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return,
        }
        let [on_life, on_cli] = watched.map(|fd| !fd.revents().is_empty());
        if on_cli || (on_life && !obey(life.as_fd(), cli)) {
            return;
        }
    }
}

/// Carries out what is on the pipe; false at its end.
fn obey(life: impl AsFd, cli: Pid) -> bool {
    let mut commands = [0; 64];
    match rustix::io::read(life, &mut commands) {
        Ok(0) => false,
        Ok(count) => {
            for command in &commands[..count] {
                // The group's leader is our unreaped child, so the group is still ours.
                let _group_just_ended = match *command {
                    PAUSE => kill_process_group(cli, Signal::STOP),
                    CONTINUE => kill_process_group(cli, Signal::CONT),
                    _ => Ok(()),
                };
            }
            true
        }
        Err(Errno::INTR | Errno::AGAIN) => true,
        // A pipe that cannot be read guards nothing.
        Err(_) => false,
    }
}
