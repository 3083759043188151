//! The machine: what it is, which cores are used, what a process costs it. Reads `/proc` and names no path of a host.

use std::{fmt, fs};

use rustix::thread::{CpuSet, sched_setaffinity};

/// Which cores everything runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// All there are.
    Free,
    /// Core 0 alone: no wake-up crosses cores, so this is the steady reading.
    Pinned,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "all cores",
            Self::Pinned => "pinned to core 0",
        })
    }
}

impl Placement {
    /// Puts this thread, and all threads and processes it will start, there.
    pub(crate) fn apply(self) {
        if self == Self::Pinned {
            let mut cores = CpuSet::new();
            cores.set(0);
            sched_setaffinity(None, &cores).expect("core 0 exists");
        }
    }
}

/// The machine in one line.
pub(crate) fn describe() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or("?".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    format!(
        "{cores} cores, {}, memory {memory}, Linux {}",
        field(&read("/proc/cpuinfo"), "model name"),
        kernel.trim()
    )
}

/// Load of the last minute, five and fifteen minutes.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// CPU time a process has used, in milliseconds; 0 once it is gone. Resolution 10 ms.
pub(crate) fn cpu_ms(pid: u32) -> f64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    // After the name in brackets: state is field 0, utime 11, stime 12; one tick is 10 ms.
    let Some(end) = stat.rfind(')') else { return 0.0 };
    let fields = stat[end + 1..].split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * 10.0
}
