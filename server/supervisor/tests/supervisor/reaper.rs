//! The reaper alone, started as the server starts it.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsRawFd as _, OwnedFd},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::{
    io::FdFlags,
    pipe::{PipeFlags, pipe_with},
};

use crate::support::{PROGRAM, script};

struct Reaped {
    child: Child,
    life: OwnedFd,
}

fn reap(program: &[&str]) -> Reaped {
    let (read, life) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    rustix::io::fcntl_setfd(&read, FdFlags::empty()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the reaper under test")]
    let mut command = Command::new(PROGRAM);
    command.args(["__reap", "--life-fd", &read.as_raw_fd().to_string(), "--"]).args(program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Reaped { child: command.spawn().unwrap(), life }
}

/// Its exit code, stdout and stderr, with stdin at EOF from the start.
fn outcome(program: &[&str]) -> (ExitStatus, String, String) {
    let Reaped { child, life } = reap(program);
    let output = child.wait_with_output().unwrap();
    drop(life);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status, text(output.stdout), text(output.stderr))
}

#[test]
fn exit_codes_pass_through() {
    for code in [0, 1, 7, 143, 255] {
        let (status, _, stderr) = outcome(&["/bin/sh", "-c", &format!("exit {code}")]);
        assert_eq!((status.code(), stderr.as_str()), (Some(code), ""));
    }
}

#[test]
fn a_signal_becomes_128_and_its_number() {
    for (signal, code) in [("TERM", 143), ("KILL", 137), ("HUP", 129)] {
        let (status, _, _) = outcome(&["/bin/sh", "-c", &format!("kill -{signal} $$")]);
        assert_eq!(status.code(), Some(code), "SIG{signal}");
    }
}

#[test]
fn a_program_that_cannot_start_is_named_with_the_reason() {
    let temp = tempfile::tempdir().unwrap();
    let plain = temp.path().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    for (program, number) in [("/nonexistent/claude", 2), (plain.to_str().unwrap(), 13)] {
        let (status, stdout, stderr) = outcome(&[program]);
        assert_eq!((status.code(), stdout.as_str()), (Some(213), ""));
        let wanted = format!("claude-comms reaper: cannot start the program: os error {number}: {program}: ");
        assert!(stderr.starts_with(&wanted), "{stderr}");
    }
}

#[test]
fn a_wrong_call_is_refused_with_another_code() {
    #[expect(clippy::disallowed_methods, reason = "the reaper under test")]
    let output = Command::new(PROGRAM).args(["__reap", "by", "hand"]).output().unwrap();
    assert_eq!(output.status.code(), Some(214));
    assert!(String::from_utf8_lossy(&output.stderr).contains("usage: __reap"), "{output:?}");
}

#[test]
fn the_pipes_are_the_program_s_alone() {
    let Reaped { mut child, life } = reap(&["/bin/sh", "-c", "cat; exec >&-; exec sleep 1000"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"through").unwrap();
    // The reaper holds no copy of either pipe: the program sees this EOF, and we see its.
    drop(stdin);
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
    drop(life);
    assert_eq!(child.wait().unwrap().code(), Some(137));
}

#[test]
fn the_life_pipe_s_end_is_the_program_s_end_even_before_the_reaper_is_up() {
    for _ in 0..20 {
        let Reaped { mut child, life } =
            reap(&["/bin/sh", "-c", "trap '' TERM HUP INT; sleep 1000; sleep 1000"]);
        drop(life);
        assert_eq!(child.wait().unwrap().code(), Some(137));
    }
}

#[test]
fn the_program_inherits_no_descriptor_no_ignored_signal_and_a_private_umask() {
    // A descriptor that leaked into the reaper, as any library of the server's might leak one.
    let leaked = File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leaked, FdFlags::empty()).unwrap();
    // TERM is ignored by the reaper itself.
    let show = "ls /proc/self/fd | tr '\\n' ' '; umask; grep -E 'Sig(Ign|Blk)' /proc/self/status";
    let (_, stdout, _) = outcome(&["/bin/sh", "-c", show]);
    let lines: Vec<&str> = stdout.lines().collect();
    // 3 is ls's own look at the directory.
    assert_eq!(lines[0], "0 1 2 3 0077", "{stdout}");
    for line in &lines[1..] {
        let signals = u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap();
        // 32 and 33 are libc's own: its posix_spawn hands them on ignored and nobody can change that.
        assert_eq!(signals & !(0b11 << 31), 0, "{line}");
    }
    assert_eq!(lines.len(), 3);
}

#[test]
fn signals_for_the_server_do_not_end_the_reaper() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("waits");
    script(&path, "#!/bin/sh\necho up\nread line\nexit 5\n");
    let Reaped { mut child, life } = reap(&[path.to_str().unwrap()]);
    let mut up = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT, rustix::process::Signal::HUP]
    {
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
    }
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    drop(life);
}
