//! The reaper's command line: `__reap --life-fd N -- program args...`.

use std::{ffi::OsString, os::fd::RawFd};

const USAGE: &str = "claude-comms reaper: usage: __reap --life-fd N -- PROGRAM [ARGUMENT...] (started by the server, not by hand)";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The number under which the life pipe's read end was inherited.
    pub(super) life_fd: RawFd,
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
}

impl Plan {
    pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, &'static str> {
        // At most our own name and `__reap` come before.
        let mut args =
            args.enumerate().skip_while(|(at, arg)| *at < 2 && arg != "--life-fd").map(|(_, arg)| arg);
        if args.next().is_none_or(|flag| flag != "--life-fd") {
            return Err(USAGE);
        }
        let number = args.next().and_then(|number| number.to_str()?.parse().ok());
        let life_fd = number.filter(|number| *number > 2).ok_or(USAGE)?;
        if args.next().is_none_or(|separator| separator != "--") {
            return Err(USAGE);
        }
        let program = args.next().ok_or(USAGE)?;
        Ok(Self { life_fd, program, arguments: args.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Plan, &'static str> {
        Plan::parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_program_s_arguments_are_its_own() {
        let plan = Plan { life_fd: 7, program: "p".into(), arguments: vec!["--life-fd".into(), "--".into()] };
        assert_eq!(parse("--life-fd 7 -- p --life-fd --").as_ref(), Ok(&plan));
        assert_eq!(parse("__reap --life-fd 7 -- p --life-fd --").as_ref(), Ok(&plan));
        assert_eq!(parse("/us __reap --life-fd 7 -- p --life-fd --").as_ref(), Ok(&plan));
    }

    #[test]
    fn a_wrong_call_is_refused() {
        for line in [
            "",
            "--life-fd",
            "--life-fd x -- p",
            "--life-fd 2 -- p",
            "--life-fd 7 p",
            "--life-fd 7 --",
            "p q r",
        ] {
            assert_eq!(parse(line), Err(USAGE), "{line}");
        }
    }
}
