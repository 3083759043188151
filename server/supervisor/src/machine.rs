//! What the system allows this process and those that it starts: memory, tasks, descriptors. With `facts` the one
//! reader of `/proc` and the control groups. It must not judge what it reads.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Room that has an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// How much there may be.
    pub most: u64,
    /// How much of it is taken.
    pub used: u64,
}

impl Room {
    /// How much is left.
    pub fn left(self) -> u64 {
        self.most.saturating_sub(self.used)
    }
}

/// What the system says of memory; `None` where it does not, or sets no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MemoryFacts {
    /// The machine's memory, bytes; what can be taken back from caches is not used.
    pub machine: Option<Room>,
    /// The tightest memory limit of our control groups (v2), bytes.
    pub group: Option<Room>,
    /// The least memory that any of our control groups (v2) may have, bytes; not always that of the tightest.
    pub group_most: Option<u64>,
    /// Percent of the last 10 s in which nothing of our control group (of the machine, without one) could go on for lack of
    /// memory.
    pub stalled_percent: Option<f32>,
}

impl MemoryFacts {
    /// Reads them. Blocking, but cheap: some files that are no files.
    pub fn read() -> Self {
        let group = own_group(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup"));
        Self {
            machine: memory(&read("/proc/meminfo")),
            group: group_memory(&group),
            group_most: group_most(&group),
            stalled_percent: stalled(&pressure(&group, Path::new("/proc/pressure/memory"))),
        }
    }
}

fn group_memory(group: &[PathBuf]) -> Option<Room> {
    tightest(group, |group| {
        let used: u64 = number(&group.join("memory.current"))?;
        let cached = field(&read(group.join("memory.stat")), "inactive_file").unwrap_or(0);
        Some(Room { most: number(&group.join("memory.max"))?, used: used.saturating_sub(cached) })
    })
}

fn group_most(group: &[PathBuf]) -> Option<u64> {
    group.iter().filter_map(|group| number(&group.join("memory.max"))).min()
}

/// What our own group waits for; others' stalls are not ours. Without one, what the machine does.
fn pressure(group: &[PathBuf], machine: &Path) -> String {
    let own = group.first().and_then(|own| fs::read_to_string(own.join("memory.pressure")).ok());
    own.unwrap_or_else(|| read(machine))
}

/// The share of the last 10 s in which all waited, percent.
fn stalled(pressure: &str) -> Option<f32> {
    let all = pressure.lines().find_map(|line| line.strip_prefix("full avg10="))?;
    all.split_whitespace().next()?.parse().ok()
}

/// What the system says; `None` where it does not, or sets no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MachineFacts {
    /// The machine's memory, bytes; what can be taken back from caches is not used.
    pub memory: Option<Room>,
    /// The tightest memory limit of our control groups (v2), bytes.
    pub group_memory: Option<Room>,
    /// The tightest limit of tasks (processes and threads) of our control groups.
    pub group_tasks: Option<Room>,
    /// Descriptors of this process, and how many it may have.
    pub descriptors: Option<Room>,
}

impl MachineFacts {
    /// Reads them. Blocking: a handful of files that are no files.
    pub fn read() -> Self {
        let group = own_group(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup"));
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let open = fs::read_dir("/proc/self/fd").map(|descriptors| descriptors.count() as u64).ok();
        Self {
            memory: memory(&read("/proc/meminfo")),
            group_memory: group_memory(&group),
            group_tasks: tightest(&group, |group| {
                Some(Room {
                    most: number(&group.join("pids.max"))?,
                    used: number(&group.join("pids.current"))?,
                })
            }),
            descriptors: open.map(|used| Room { most: limit.unwrap_or(u64::MAX), used }),
        }
    }
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The one number of a file; `None` for `max`.
fn number(path: &Path) -> Option<u64> {
    read(path).trim().parse().ok()
}

/// The number behind a name at a line's beginning.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
}

fn memory(meminfo: &str) -> Option<Room> {
    let (most, available) = (field(meminfo, "MemTotal")?, field(meminfo, "MemAvailable")?);
    Some(Room { most: most << 10, used: most.saturating_sub(available) << 10 })
}

/// Our group and those above it, below `root`.
fn own_group(root: &Path, cgroup: &str) -> Vec<PathBuf> {
    let Some(own) = cgroup.lines().find_map(|line| line.strip_prefix("0::/")) else { return Vec::new() };
    let own = root.join(own);
    own.ancestors().take_while(|group| group.starts_with(root)).map(Path::to_owned).collect()
}

fn tightest(groups: &[PathBuf], room: impl Fn(&Path) -> Option<Room>) -> Option<Room> {
    groups.iter().filter_map(|group| room(group)).min_by_key(|room| room.left())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_of_the_groups_counts_and_caches_are_no_use_of_memory() {
        let root = tempfile::tempdir().unwrap();
        let (outer, inner) = (root.path().join("outer"), root.path().join("outer/inner"));
        fs::create_dir_all(&inner).unwrap();
        let write = |group: &Path, name: &str, text: &str| fs::write(group.join(name), text).unwrap();
        write(&outer, "pids.max", "100\n");
        write(&outer, "pids.current", "90\n");
        write(&inner, "pids.max", "1000\n");
        write(&inner, "pids.current", "20\n");
        let groups = own_group(root.path(), "1:name=x:/other\n0::/outer/inner\n");
        assert_eq!(groups, [inner.clone(), outer.clone(), root.path().to_owned()]);
        let tasks = |group: &Path| {
            Some(Room { most: number(&group.join("pids.max"))?, used: number(&group.join("pids.current"))? })
        };
        assert_eq!(tightest(&groups, tasks), Some(Room { most: 100, used: 90 }));
        write(&outer, "pids.max", "max\n");
        assert_eq!(tightest(&groups, tasks).unwrap().left(), 980);
        write(&outer, "memory.max", "4096\n");
        write(&outer, "memory.current", "0\n");
        write(&inner, "memory.max", "8192\n");
        write(&inner, "memory.current", "8000\n");
        assert_eq!(group_memory(&groups), Some(Room { most: 8192, used: 8000 }), "the least is left there");
        assert_eq!(group_most(&groups), Some(4096), "but there is never more than this");
        let machine = root.path().join("pressure");
        fs::write(&machine, "the machine's").unwrap();
        assert_eq!(pressure(&groups, &machine), "the machine's");
        write(&outer, "memory.pressure", "others'");
        assert_eq!(pressure(&groups, &machine), "the machine's", "a group above has others in it too");
        write(&groups[0], "memory.pressure", "ours");
        assert_eq!(pressure(&groups, &machine), "ours");
        assert_eq!(field("inactive_anon 1\ninactive_file 7\n", "inactive_file"), Some(7));
        assert_eq!(
            memory("MemTotal:  100 kB\nMemAvailable:  40 kB\n"),
            Some(Room { most: 102_400, used: 61_440 })
        );
        let pressure = "some avg10=1.00 avg60=0.00 total=1\nfull avg10=12.50 avg60=0.00 total=1\n";
        assert_eq!((stalled(pressure), stalled("")), (Some(12.5), None));
        assert_eq!((memory(""), own_group(root.path(), "")), (None, Vec::new()));
    }

    #[test]
    fn this_machine_says_something() {
        let facts = MachineFacts::read();
        assert!(facts.memory.is_some_and(|memory| memory.left() > 0 && memory.used > 0), "{facts:?}");
        assert!(facts.descriptors.is_some_and(|open| open.used >= 3 && open.most >= open.used), "{facts:?}");
    }
}
