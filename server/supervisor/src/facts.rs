//! What the system says of a process and its tree: state, number, memory. All reading of `/proc` for facts is here;
//! on another system this file alone is written anew. It must not judge what it sees.

use std::{collections::HashSet, fmt, fs};

/// More processes than any tree of ours has; against one that forks while it is read.
const MOST_PROCESSES: usize = 4096;

/// How the system sees a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemState {
    /// On a processor, or ready for one.
    Running,
    /// Waiting for something.
    Sleeping,
    /// Waiting in the kernel, for a disk as a rule; no signal reaches it.
    Uninterruptible,
    /// Stopped by a signal or a debugger.
    Stopped,
    /// Ended, and not yet waited for.
    Zombie,
    /// What this server does not know, by the system's own letter.
    Other(char),
}

impl SystemState {
    fn of(letter: char) -> Self {
        match letter {
            'R' => Self::Running,
            'S' | 'I' => Self::Sleeping,
            'D' => Self::Uninterruptible,
            'T' | 't' => Self::Stopped,
            'Z' | 'X' | 'x' => Self::Zombie,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for SystemState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Sleeping => f.write_str("sleeping"),
            Self::Uninterruptible => f.write_str("uninterruptible"),
            Self::Stopped => f.write_str("stopped"),
            Self::Zombie => f.write_str("zombie"),
            Self::Other(letter) => write!(f, "{letter}"),
        }
    }
}

/// A process and its tree at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessFacts {
    /// The CLI's own state.
    pub state: SystemState,
    /// Processes of its tree: the CLI, what it started, and what of that outlived its parents. Without the reaper.
    pub processes: u32,
    /// Their resident memory, bytes; what they share is counted for each.
    pub rss_bytes: u64,
    /// Their proportional memory, bytes: what is shared, also with others, is divided. 0 where the system does not tell.
    pub pss_bytes: u64,
}

impl ProcessFacts {
    /// What the tree takes: its share, or what is resident where the system does not tell shares.
    pub fn memory_bytes(&self) -> u64 {
        if self.pss_bytes > 0 { self.pss_bytes } else { self.rss_bytes }
    }

    /// Reads them. `None` without such a process.
    pub(crate) fn read(process_id: u32, reaper: u32) -> Option<Self> {
        let state = SystemState::of(state_letter(process_id)?);
        let tree = tree(process_id, reaper);
        Some(Self {
            state,
            processes: u32::try_from(tree.len()).unwrap_or(u32::MAX),
            rss_bytes: tree.iter().map(|process| resident_bytes(*process)).sum(),
            pss_bytes: tree.iter().map(|process| proportional_bytes(*process)).sum(),
        })
    }
}

/// Resident memory of a tree, bytes; what its processes share is counted for each. Much cheaper than all facts.
pub(crate) fn resident_bytes_of_tree(process_id: u32, reaper: u32) -> u64 {
    tree(process_id, reaper).into_iter().map(resident_bytes).sum()
}

/// A process and all that hangs below it.
fn tree(process_id: u32, reaper: u32) -> HashSet<u32> {
    let mut tree = HashSet::from([process_id]);
    let mut unread = vec![process_id];
    // What escaped its parent hangs below the reaper, which is everybody's last parent here.
    unread.extend((reaper != 0).then_some(reaper));
    while let Some(parent) = unread.pop() {
        for child in children(parent) {
            if tree.len() < MOST_PROCESSES && tree.insert(child) {
                unread.push(child);
            }
        }
    }
    tree
}

/// Resident memory of a process in bytes; 0 for no process, one that is gone, or where the system does not tell.
pub fn resident_bytes(process_id: u32) -> u64 {
    if process_id == 0 {
        return 0;
    }
    let Ok(statm) = fs::read_to_string(format!("/proc/{process_id}/statm")) else { return 0 };
    let pages: u64 = statm.split_ascii_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Proportional memory in bytes; 0 as above, and for another user's process.
fn proportional_bytes(process_id: u32) -> u64 {
    let Ok(rollup) = fs::read_to_string(format!("/proc/{process_id}/smaps_rollup")) else { return 0 };
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
    kib << 10
}

fn state_letter(process_id: u32) -> Option<char> {
    if process_id == 0 {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    // `pid (name) state ppid ...`, and the name may hold parentheses.
    stat.rsplit_once(')')?.1.split_whitespace().next()?.chars().next()
}

/// The children of all threads of a process; none where the kernel does not list them.
pub(crate) fn children(process_id: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process_id}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_children_are_counted_with_their_memory() {
        let own = std::process::id();
        let before = ProcessFacts::read(own, 0).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a child to count")]
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let with_child = ProcessFacts::read(own, 0).unwrap();
        let alone = ProcessFacts::read(child.id(), 0).unwrap();
        child.kill().unwrap();
        // Other tests of this program may have children of their own.
        assert!(with_child.processes > before.processes || before.processes > 1, "{before:?} {with_child:?}");
        assert_eq!(alone.processes, 1);
        assert!(
            alone.rss_bytes > 0 && alone.pss_bytes > 0 && alone.pss_bytes <= alone.rss_bytes,
            "{alone:?}"
        );
        assert!(with_child.rss_bytes > alone.rss_bytes, "{with_child:?}");
        assert!(resident_bytes_of_tree(own, 0) > 0 && resident_bytes_of_tree(0, 0) == 0);
        // Killed and not waited for.
        while ProcessFacts::read(child.id(), 0).unwrap().state != SystemState::Zombie {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(ProcessFacts::read(child.id(), 0), None);
        assert_eq!((ProcessFacts::read(0, 0), resident_bytes(0)), (None, 0));
    }
}
