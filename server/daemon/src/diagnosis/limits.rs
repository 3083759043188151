//! Limits: whether the machine and the system allow as many instances as `pool.max_instances` does.

use claude_comms_supervisor::{MachineFacts, Room};

use super::{run::Subject, verdict::Found};

/// Pipes, the life pipe, the session file and what a start takes for a moment.
const DESCRIPTORS_EACH: u64 = 10;
/// The store, the endpoints, connections, watched directories.
const DESCRIPTORS_BESIDE: u64 = 200;
/// CLI 2.1.330 takes 100 to 250 MB, of which some is shared.
const MEMORY_EACH: u64 = 150 << 20;
/// Threads of CLI 2.1.330, its reaper, and a command that it runs.
const TASKS_EACH: u64 = 40;
const TASKS_BESIDE: u64 = 60;

pub(super) fn descriptors(subject: &Subject) -> Found {
    judge_descriptors(MachineFacts::read().descriptors, instances(subject))
}

pub(super) fn memory(subject: &Subject) -> Found {
    judge_memory(MachineFacts::read().memory, instances(subject), each(subject))
}

pub(super) fn cgroup(subject: &Subject) -> Found {
    let facts = MachineFacts::read();
    judge_group(facts.group_memory, facts.group_tasks, instances(subject), each(subject))
}

fn instances(subject: &Subject) -> u64 {
    subject.config.pool.slots() as u64
}

/// The simulated CLI is small.
fn each(subject: &Subject) -> u64 {
    if subject.is_simulated() { 10 << 20 } else { MEMORY_EACH }
}

fn judge_descriptors(open: Option<Room>, instances: u64) -> Found {
    let Some(open) = open else { return Found::skipped("the system does not tell") };
    let needed = DESCRIPTORS_BESIDE + DESCRIPTORS_EACH * instances;
    let found = if open.most < needed {
        Found::problem(
            format!("{} may be open, {instances} instances and their callers need about {needed}", open.most),
            format!(
                "raise the limit (LimitNOFILE={} in a systemd unit, `ulimit -n` in a shell), or lower pool.max_instances",
                needed.next_power_of_two().max(4096)
            ),
        )
    } else if open.used.saturating_mul(10) > open.most.saturating_mul(8) {
        Found::warning(
            format!("{} of {} are open", open.used, open.most),
            "raise the limit (LimitNOFILE in a systemd unit), or end clients that are not needed",
        )
    } else {
        Found::ok(format!("{} of {} are open", open.used, open.most))
    };
    found.with("open", open.used).with("limit", open.most).with("needed", needed)
}

fn judge_memory(memory: Option<Room>, instances: u64, each: u64) -> Found {
    let Some(memory) = memory else { return Found::skipped("the system does not tell") };
    let needed = each.saturating_mul(instances);
    let (all, left) = (mb(memory.most), mb(memory.left()));
    let need = format!("{instances} instances need about {}", mb(needed));
    let found = if memory.most < needed {
        Found::problem(
            format!("the machine has {all} in all, {need}"),
            "lower pool.max_instances, or give the machine more memory",
        )
    } else if memory.left() < each {
        Found::problem(
            format!("{left} are available, which is not enough for one more process"),
            "end what is not needed, or lower pool.max_instances",
        )
    } else if memory.left() < needed {
        Found::warning(
            format!("{left} are available, {need} when all are in use"),
            "lower pool.max_instances or pool.idle_timeout, or end what else takes memory",
        )
    } else {
        Found::ok(format!("{left} are available, {need}"))
    };
    found.with("available_bytes", memory.left()).with("needed_bytes", needed)
}

fn judge_group(memory: Option<Room>, tasks: Option<Room>, instances: u64, each: u64) -> Found {
    let mut all = Vec::new();
    if let Some(memory) = memory {
        let needed = each.saturating_mul(instances);
        let said = format!("the control group may hold {}, {} are left", mb(memory.most), mb(memory.left()));
        all.push(
            if memory.most < needed || memory.left() < each {
                Found::problem(
                    format!("{said}; {instances} instances need about {}", mb(needed)),
                    "raise MemoryMax of the unit (memory.max), or lower pool.max_instances; beyond it the kernel kills processes",
                )
            } else {
                Found::ok(said)
            }
            .with("memory_max", memory.most)
            .with("memory_left", memory.left()),
        );
    }
    if let Some(tasks) = tasks {
        let needed = TASKS_BESIDE + TASKS_EACH.saturating_mul(instances);
        let said = format!("the control group may have {} tasks, {} are left", tasks.most, tasks.left());
        all.push(
            if tasks.most < needed || tasks.left() < TASKS_EACH {
                Found::problem(
                    format!("{said}; {instances} instances need about {needed}"),
                    "raise TasksMax of the unit (pids.max), or lower pool.max_instances",
                )
            } else {
                Found::ok(said)
            }
            .with("pids_max", tasks.most)
            .with("pids_left", tasks.left()),
        );
    }
    Found::worst(all).unwrap_or_else(|| Found::skipped("no limit of a control group (v2)"))
}

fn mb(bytes: u64) -> String {
    format!("{} MB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Verdict::{self, Ok, Problem, Skipped, Warning};

    const GB: u64 = 1 << 30;

    #[track_caller]
    fn expect(found: &Found, verdict: Verdict, remedy: &str) {
        assert_eq!(found.verdict, verdict, "{found:?}");
        assert!(found.remedy.contains(remedy), "{found:?}");
        assert_eq!(found.remedy.is_empty(), matches!(verdict, Ok | Skipped), "{found:?}");
    }

    #[test]
    fn too_few_descriptors_for_the_instances_are_a_problem() {
        let room = |most, used| Some(Room { most, used });
        expect(&judge_descriptors(room(1024, 50), 8), Ok, "");
        expect(&judge_descriptors(room(256, 50), 8), Problem, "LimitNOFILE=4096");
        expect(&judge_descriptors(room(1024, 50), 1000), Problem, "LimitNOFILE=16384");
        expect(&judge_descriptors(room(1024, 900), 8), Warning, "LimitNOFILE");
        expect(&judge_descriptors(None, 8), Skipped, "");
    }

    #[test]
    fn too_little_memory_for_the_instances_is_told_before_it_is_missed() {
        let room = |most, left| Some(Room { most, used: most - left });
        expect(&judge_memory(room(8 * GB, 4 * GB), 8, MEMORY_EACH), Ok, "");
        expect(&judge_memory(room(8 * GB, GB), 8, MEMORY_EACH), Warning, "pool.max_instances");
        expect(&judge_memory(room(8 * GB, GB / 10), 8, MEMORY_EACH), Problem, "pool.max_instances");
        expect(&judge_memory(room(GB, GB / 2), 8, MEMORY_EACH), Problem, "more memory");
        expect(&judge_memory(None, 8, MEMORY_EACH), Skipped, "");
    }

    #[test]
    fn a_control_group_that_is_too_tight_is_a_problem() {
        let room = |most, used| Some(Room { most, used });
        expect(&judge_group(None, None, 8, MEMORY_EACH), Skipped, "");
        expect(&judge_group(room(4 * GB, GB), room(4096, 10), 8, MEMORY_EACH), Ok, "");
        expect(&judge_group(room(GB, GB / 2), None, 8, MEMORY_EACH), Problem, "MemoryMax");
        expect(&judge_group(room(4 * GB, 4 * GB), None, 8, MEMORY_EACH), Problem, "MemoryMax");
        expect(&judge_group(None, room(100, 10), 8, MEMORY_EACH), Problem, "TasksMax");
        let both = judge_group(room(GB, 0), room(100, 10), 8, MEMORY_EACH);
        expect(&both, Problem, "MemoryMax");
        expect(&both, Problem, "TasksMax");
    }
}
