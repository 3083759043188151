//! The server's own process, under the names that Prometheus' clients have agreed on. Read from /proc when somebody looks.

use prometheus::{Counter, Gauge};

/// The figures of the process.
#[derive(Debug)]
pub(super) struct OwnProcess {
    pub(super) cpu_seconds: Counter,
    pub(super) resident_bytes: Gauge,
    pub(super) virtual_bytes: Gauge,
    pub(super) open_fds: Gauge,
    pub(super) max_fds: Gauge,
    pub(super) start_time: Gauge,
    pub(super) threads: Gauge,
}

/// What `/proc/self/stat` says.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

fn parse(stat: &str) -> Option<Stat> {
    // The name, in brackets, may hold anything; behind it the fields are numbered from 3 on.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        cpu_ticks: field(14)? + field(15)?,
        threads: field(20)?,
        start_ticks: field(22)?,
        virtual_bytes: field(23)?,
        resident_pages: field(24)?,
    })
}

/// When the system was started, in seconds since 1970.
fn boot_time() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

impl OwnProcess {
    /// Reads the figures; what the system does not tell keeps its value.
    pub(super) fn look(&self) {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        if let Some(stat) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(parse) {
            let more = stat.cpu_ticks as f64 / ticks - self.cpu_seconds.get();
            if more > 0.0 {
                self.cpu_seconds.inc_by(more);
            }
            self.threads.set(stat.threads as f64);
            self.virtual_bytes.set(stat.virtual_bytes as f64);
            self.resident_bytes.set((stat.resident_pages * rustix::param::page_size() as u64) as f64);
            if let Some(boot) = boot_time() {
                self.start_time.set(boot as f64 + stat.start_ticks as f64 / ticks);
            }
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            // Not the one that lists them.
            self.open_fds.set(open.count().saturating_sub(1) as f64);
        }
        if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
            self.max_fds.set(limit as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_skipped() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 12 30 0 0 20 0 5 0 4242 1000000 250 18446744073709551615";
        let expected = Stat {
            cpu_ticks: 42,
            threads: 5,
            start_ticks: 4242,
            virtual_bytes: 1_000_000,
            resident_pages: 250,
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("7 (a"), None);
        assert_eq!(parse("7 (a) S 1"), None);
    }
}
