//! A turn's place in the queue in words: told when it comes, when what it waits for changes, and each time it is halved, so that
//! a long queue does not fill the screen.

/// What was last said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    before: u32,
    waits_for: String,
}

impl Place {
    /// Words for a place, if they are worth it after what was said.
    pub(super) fn say(said: &mut Option<Self>, position: u32, ahead: u32, waits_for: &str) -> Option<String> {
        let before = position.saturating_add(ahead);
        let now = Self { before, waits_for: waits_for.to_owned() };
        let is_news =
            said.as_ref().is_none_or(|said| said.waits_for != waits_for || before <= said.before / 2);
        if !is_news || said.as_ref() == Some(&now) {
            return None;
        }
        *said = Some(now);
        let what = match waits_for {
            "module_limit" => {
                "waiting: its module has as many processes as it may (pool.module_max_instances, pool.pair_max_instances)"
            }
            "memory" => "waiting: the server's machine is short of memory (pool.memory_reserve)",
            "backend" => "waiting: Claude Code cannot be started just now",
            _ if before == 0 => return Some("waiting for a process".to_owned()),
            _ => "waiting",
        };
        Some(match before {
            0 => what.to_owned(),
            1 => format!("{what}; 1 turn is before this one"),
            n => format!("{what}; {n} turns are before this one"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_when_it_is_halved_or_waits_for_something_else() {
        let mut said = None;
        let mut say = |position, ahead, what: &str| Place::say(&mut said, position, ahead, what);
        assert_eq!(say(0, 8, "instance").unwrap(), "waiting; 8 turns are before this one");
        assert_eq!((say(0, 7, "instance"), say(0, 9, "instance")), (None, None));
        assert_eq!(say(0, 4, "instance").unwrap(), "waiting; 4 turns are before this one");
        assert!(say(0, 4, "memory").unwrap().contains("pool.memory_reserve"));
        assert_eq!(say(0, 1, "instance").unwrap(), "waiting; 1 turn is before this one");
        assert_eq!(say(0, 0, "instance").unwrap(), "waiting for a process");
        assert_eq!(say(0, 0, "instance"), None, "nothing is said twice");
    }
}
