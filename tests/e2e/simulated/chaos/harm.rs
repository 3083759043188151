//! Who does the harm: one fault after the other, chosen by the dice, each mended before the next.

use std::{collections::BTreeMap, time::Duration};

use claude_comms_tests::{
    PATIENCE, TestServer, eventually,
    processes::{descriptors, limit_descriptors, signal_if_there},
    seed::Dice,
};
use rustix::process::Signal;

use super::{accounts::Accounts, clock::Clock, disk::Disk};

/// How long the disk stays full where the store does not mind.
const FULL: Duration = Duration::from_secs(5);

const DAY: i64 = 24 * 3600;
/// How long a fault that is mended lasts at most.
const AT_MOST: Duration = Duration::from_secs(1);

/// What can be done to a server.
pub(super) struct Harm<'a> {
    pub(super) server: &'a mut TestServer,
    pub(super) accounts: Accounts,
    pub(super) dice: Dice,
    pub(super) disk: Option<&'a Disk>,
    pub(super) clock: Option<&'a Clock>,
    pub(super) stopped: Vec<u32>,
    /// How often what was done.
    pub(super) done: BTreeMap<&'static str, usize>,
}

impl Harm<'_> {
    /// One fault. Without `server` only such that the server lives through.
    pub(super) async fn next(&mut self, server: bool) {
        self.mend();
        let what = match self.dice.below(100) {
            0..36 => self.signal_one("a CLI is killed", Signal::KILL),
            36..42 => self.signal_one("a CLI is terminated", Signal::TERM),
            42..60 => self.stop_one(),
            60..70 => self.set_clock(),
            70..82 => self.take_descriptors().await,
            _ if !server => "nothing",
            82..92 => self.kill_server().await,
            92..95 => self.end_server().await,
            _ => self.fill_disk().await,
        };
        *self.done.entry(what).or_default() += 1;
    }

    /// Takes back what can be.
    pub(super) fn mend(&mut self) {
        for pid in self.stopped.drain(..) {
            signal_if_there(pid, Signal::CONT);
        }
    }

    fn any_claude(&mut self) -> Option<u32> {
        let claudes = self.server.processes().claudes();
        (!claudes.is_empty()).then(|| self.dice.pick(&claudes).pid)
    }

    fn signal_one(&mut self, what: &'static str, signal: Signal) -> &'static str {
        match self.any_claude() {
            Some(pid) if signal_if_there(pid, signal) => what,
            _ => "nothing",
        }
    }

    fn stop_one(&mut self) -> &'static str {
        match self.any_claude() {
            Some(pid) if signal_if_there(pid, Signal::STOP) => {
                self.stopped.push(pid);
                "a CLI stands still"
            }
            _ => "nothing",
        }
    }

    fn set_clock(&mut self) -> &'static str {
        let Some(clock) = self.clock else { return "nothing" };
        clock.set(*self.dice.pick(&[0, 1, -1, 3600, -3600, 2 * DAY, -2 * DAY, 400 * DAY]));
        "the clock jumps"
    }

    async fn take_descriptors(&mut self) -> &'static str {
        let pid = self.server.pid();
        let most = descriptors(pid) + self.dice.below(4);
        let before = limit_descriptors(pid, Some(most as u64));
        self.accounts.more(20, AT_MOST).await;
        let _ = limit_descriptors(pid, before);
        "no descriptors"
    }

    async fn kill_server(&mut self) -> &'static str {
        self.server.kill9().await;
        self.server.processes().await_gone().await;
        self.server.restart().await;
        "the server is killed"
    }

    async fn end_server(&mut self) -> &'static str {
        let ran = self.server.terminate().await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(!ran.stderr.contains("tasks were still running"), "{}", ran.stderr);
        self.server.processes().await_gone().await;
        self.server.restart().await;
        "the server is ended"
    }

    /// A store that could not write is opened anew by an operator once there is room.
    async fn fill_disk(&mut self) -> &'static str {
        let Some(disk) = self.disk else { return "nothing" };
        let before = self.server.log().matches("store refuses writes").count();
        disk.fill();
        let noticed = eventually(PATIENCE, "the store notices the full disk", async || {
            (self.server.log().matches("store refuses writes").count() > before).then_some(())
        });
        // It may go on for long in what its file has free.
        let noticed = tokio::time::timeout(FULL, noticed).await.is_ok();
        disk.make_room();
        self.kill_server().await;
        if noticed { "the disk is full" } else { "the disk is full, and the store has room" }
    }
}
