//! Memory: how many instances it allows, and whether there is enough for one more now. What the system says comes from a
//! probe that the caller gives; who acts on it is the dispatcher's task.

use std::{fmt, sync::Arc, time::Duration};

use claude_comms_supervisor::{MemoryFacts, Room};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::config::{BackendKind, Settings};

/// What a Claude process takes at most as a rule (CLI 2.1.330: 100 to 250 MB), bytes.
const CLAUDE_BYTES: u64 = 250 << 20;
/// What a simulated one takes.
const SIMULATED_BYTES: u64 = 10 << 20;
/// What the server itself may take.
const SERVER_BYTES: u64 = 512 << 20;
/// As many instances there are at most, where their number is derived.
const MOST: u64 = 64;
/// Where the system does not tell how much memory there is.
const UNKNOWN: usize = 8;
/// Least reserve where none is set, bytes.
const LEAST_RESERVE: u64 = 256 << 20;
/// Stalls for memory, percent of the last 10 s in which nothing could go on, that count as too little of it.
const STALLED_PERCENT: f32 = 25.0;
/// They count while less than so many times the reserve is left.
const STALLED_BELOW: u64 = 4;
/// How often it is looked: usually, and while there is little.
const PERIODS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(250));

/// Says how much memory there is.
pub(crate) type Probe = Arc<dyn Fn() -> MemoryFacts + Send + Sync>;

/// How many instances memory allows, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// How many.
    pub instances: usize,
    /// Why, in words.
    pub reason: String,
}

impl fmt::Display for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.instances, self.reason)
    }
}

impl Default for Derived {
    fn default() -> Self {
        Self { instances: UNKNOWN, reason: "the system does not tell how much memory there is".to_owned() }
    }
}

/// What a process of a backend takes, bytes.
fn of_process(backend: BackendKind) -> u64 {
    match backend {
        BackendKind::Claude => CLAUDE_BYTES,
        BackendKind::Simulated => SIMULATED_BYTES,
    }
}

/// How many instances there may be where it is not set. A control group's memory is ours, of a machine's we take half.
pub(crate) fn derived(facts: &MemoryFacts, backend: BackendKind, reserve: Option<u64>) -> Derived {
    let each = of_process(backend);
    let group = facts.group_most.map(|most| (most, "the control group's memory of", most));
    let machine = facts.machine.map(|machine| (machine.most / 2, "half of the machine's", machine.most));
    let Some((ours, what, most)) = group.into_iter().chain(machine).min_by_key(|(ours, ..)| *ours) else {
        return Derived::default();
    };
    let free = ours.saturating_sub(SERVER_BYTES).saturating_sub(self::reserve(facts, reserve));
    let instances = (free / each).clamp(1, MOST);
    let bound = if free / each > MOST { ", 64 at most" } else { "" };
    let reason = format!(
        "{what} {}, less {} for the server and the reserve, at {} each{bound}",
        size(most),
        size(SERVER_BYTES + self::reserve(facts, reserve)),
        size(each)
    );
    Derived { instances: usize::try_from(instances).unwrap_or(UNKNOWN), reason }
}

/// What is kept free, bytes: as set, else a twentieth of what there is.
pub(crate) fn reserve(facts: &MemoryFacts, set: Option<u64>) -> u64 {
    let most = facts.machine.map(|room| room.most).into_iter().chain(facts.group_most).min().unwrap_or(0);
    set.unwrap_or_else(|| (most / 20).max(LEAST_RESERVE))
}

/// Bytes as one reads them.
pub(crate) fn size(bytes: u64) -> String {
    if bytes >= 1 << 30 {
        format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
    } else {
        format!("{} MiB", bytes >> 20)
    }
}

/// How it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Bytes that are left; `None` where the system does not tell.
    pub free: Option<u64>,
    /// Bytes that are kept.
    pub reserve: u64,
    /// Bytes that a process takes, before it has them.
    pub each: u64,
    /// Whether there is too little for one more process.
    pub short: bool,
}

impl Memory {
    /// As the facts have it. It is short below the reserve, and until there is a tenth more than that.
    pub(crate) fn judge(
        facts: &MemoryFacts,
        backend: BackendKind,
        set: Option<u64>,
        was_short: bool,
    ) -> Self {
        let free = facts.machine.into_iter().chain(facts.group).map(Room::left).min();
        let reserve = reserve(facts, set);
        let enough = if was_short { reserve.saturating_add(reserve / 10) } else { reserve };
        // Who stalls with plenty left waits for something else.
        let little = free.is_none_or(|free| free < reserve.saturating_mul(STALLED_BELOW));
        let stalled = little && facts.stalled_percent.is_some_and(|stalled| stalled >= STALLED_PERCENT);
        let short = stalled || free.is_some_and(|free| free < enough);
        Self { free, reserve, each: of_process(backend), short }
    }

    /// Whether one more process may start, beside so many that may not have taken theirs when it was looked.
    pub(crate) fn room_beside(&self, starting: usize) -> bool {
        self.leaves(starting, self.reserve)
    }

    /// Whether there would be enough, also once it was short, after so many more processes.
    pub(crate) fn spares_room(&self, more: usize) -> bool {
        self.leaves(more, self.reserve.saturating_add(self.reserve / 10))
    }

    fn leaves(&self, processes: usize, least: u64) -> bool {
        let taken = self.each.saturating_mul(u64::try_from(processes).unwrap_or(u64::MAX));
        !self.short && self.free.is_none_or(|free| free.checked_sub(taken).is_some_and(|left| left >= least))
    }
}

/// Looks at the memory until the server ends. Who waits is woken at each look while there is too little, and when there is
/// enough again.
pub(crate) fn watch(
    tracker: &TaskTracker,
    ending: CancellationToken,
    settings: Settings,
    probe: Probe,
) -> watch::Receiver<Memory> {
    watch_every(PERIODS, tracker, ending, settings, probe)
}

fn watch_every(
    (calm, tense): (Duration, Duration),
    tracker: &TaskTracker,
    ending: CancellationToken,
    settings: Settings,
    probe: Probe,
) -> watch::Receiver<Memory> {
    let judge = move |facts: &MemoryFacts, was_short| {
        let config = settings.now();
        Memory::judge(facts, config.backend, config.pool.memory_reserve, was_short)
    };
    let now = judge(&probe(), false);
    let (sender, receiver) = watch::channel(now);
    tracker.spawn(async move {
        let look = async {
            loop {
                let last = *sender.borrow();
                let near = last.free.is_some_and(|free| free < last.reserve.saturating_mul(2));
                tokio::time::sleep(if near { tense } else { calm }).await;
                let looking = Arc::clone(&probe);
                let Ok(facts) = tokio::task::spawn_blocking(move || looking()).await else { return };
                let now = judge(&facts, last.short);
                sender.send_if_modified(|memory| {
                    *memory = now;
                    last.short || now.short
                });
            }
        };
        ending.run_until_cancelled(look).await;
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn room(most: u64, left: u64) -> Option<Room> {
        Some(Room { most, used: most - left })
    }

    fn facts(machine: Option<Room>, group: Option<Room>) -> MemoryFacts {
        MemoryFacts { machine, group, group_most: group.map(|group| group.most), stalled_percent: None }
    }

    #[test]
    fn as_many_instances_as_memory_allows_within_bounds() {
        let count = |machine: u64, group: Option<u64>, backend| {
            derived(&facts(room(machine, 0), group.and_then(|most| room(most, 0))), backend, None).instances
        };
        assert_eq!(count(GIB, None, BackendKind::Claude), 1, "one at least");
        assert_eq!(count(8 * GIB, None, BackendKind::Claude), 12);
        assert_eq!(count(16 * GIB, None, BackendKind::Claude), 27);
        assert_eq!(count(256 * GIB, None, BackendKind::Claude), 64, "no more than that");
        assert_eq!(count(8 * GIB, None, BackendKind::Simulated), 64);
        assert_eq!(count(64 * GIB, Some(2 * GIB), BackendKind::Claude), 5, "the group's is all ours");
        assert_eq!(count(4 * GIB, Some(64 * GIB), BackendKind::Claude), 5, "the tighter one counts");
        let more = derived(&facts(room(8 * GIB, 0), None), BackendKind::Claude, Some(2 * GIB));
        assert_eq!(more.instances, 6, "a larger reserve leaves less");
        assert_eq!(
            more.to_string(),
            "6: half of the machine's 8.0 GiB, less 2.5 GiB for the server and the reserve, at 250 MiB each"
        );
        assert_eq!(derived(&facts(None, None), BackendKind::Claude, None), Derived::default());
    }

    #[test]
    fn memory_is_short_below_the_reserve_and_until_there_is_a_tenth_more() {
        let judge =
            |facts: &MemoryFacts, set, was_short| Memory::judge(facts, BackendKind::Claude, set, was_short);
        let of_machine = |left, was_short| judge(&facts(room(16 * GIB, left), None), Some(GIB), was_short);
        assert!(!of_machine(GIB, false).short && of_machine(GIB - 1, false).short);
        assert!(of_machine(GIB, true).short && !of_machine(GIB + GIB / 10, true).short);
        let group = judge(&facts(room(16 * GIB, 9 * GIB), room(4 * GIB, 100)), None, false);
        assert_eq!((group.free, group.short), (Some(100), true), "the tightest counts");
        assert_eq!(group.reserve, LEAST_RESERVE);
        let stalled = |left| MemoryFacts { stalled_percent: Some(60.0), ..facts(room(16 * GIB, left), None) };
        assert!(judge(&stalled(4 * GIB - 1), Some(GIB), false).short, "what cannot go on is short of memory");
        assert!(!judge(&stalled(4 * GIB), Some(GIB), false).short, "but not with that much left");
        assert!(!judge(&facts(None, None), None, false).short, "nobody knows");
    }

    #[test]
    fn processes_that_start_have_their_memory_reserved_before_they_take_it() {
        let free =
            |left| Memory::judge(&facts(room(16 * GIB, left), None), BackendKind::Claude, Some(GIB), false);
        let memory = free(3 * GIB);
        let started = (0..25).take_while(|starting| memory.room_beside(*starting)).count();
        assert_eq!(started, 9, "eight have their 250 MiB and the ninth what is left above the reserve");
        assert!(free(GIB).room_beside(0), "one at a time goes on as long as memory is not short");
        assert!(!free(GIB).spares_room(1), "but nothing is made in advance from the last of it");
        let (above, each) = (GIB + GIB / 10, CLAUDE_BYTES);
        assert!(free(above + each).spares_room(1) && !free(above + each - 1).spares_room(1));
        assert!(!free(above + each).spares_room(2) && !free(GIB - 1).room_beside(0));
        let unknown = Memory::judge(&facts(None, None), BackendKind::Claude, None, false);
        assert!(unknown.room_beside(999) && unknown.spares_room(999), "nobody knows");
    }

    #[tokio::test]
    async fn who_waits_is_woken_while_memory_is_short_and_once_it_is_not() {
        use std::sync::atomic::{AtomicU64, Ordering};
        let left = Arc::new(AtomicU64::new(9 * GIB));
        let told = Arc::clone(&left);
        let probe: Probe = Arc::new(move || facts(room(16 * GIB, told.load(Ordering::Relaxed)), None));
        let loaded = crate::config::load(
            &crate::config::Overrides::default(),
            [("HOME".into(), "/".into())].into_iter(),
        );
        let settings = Settings::new(loaded.expect("nothing is set").config);
        let (tracker, ending) = (TaskTracker::new(), CancellationToken::new());
        let often = Duration::from_millis(2);
        let mut memory = watch_every((often, often), &tracker, ending.clone(), settings, probe);
        assert!(!memory.borrow_and_update().short);
        let quiet = tokio::time::timeout(often * 20, memory.changed()).await;
        assert!(quiet.is_err(), "nobody is woken for nothing");
        left.store(1, Ordering::Relaxed);
        for _ in 0..3 {
            memory.changed().await.expect("it is watched");
            assert_eq!(memory.borrow_and_update().free, Some(1));
        }
        left.store(9 * GIB, Ordering::Relaxed);
        memory.changed().await.expect("it is watched");
        assert!(!memory.borrow_and_update().short);
        ending.cancel();
        tracker.close();
        tracker.wait().await;
    }
}
