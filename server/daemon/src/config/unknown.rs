//! What a user may have meant by a key that there is not.

use super::{
    keys,
    load::{CLIENT_VARIABLES, PREFIX},
};

/// Words to go behind "unknown key PATH": the nearest key, else those of its level, else where all are. `spell` makes
/// of a path what the user would write.
pub(super) fn remedy(path: &str, is_map: bool, spell: impl Fn(&str) -> String) -> String {
    if let Some(near) = nearest(path, is_map) {
        return format!("; did you mean {}?", spell(near));
    }
    let level = path.rsplit_once('.').map(|(level, _)| level).filter(|level| keys::is_level(level));
    let Some(level) = level else {
        return "; `claude-comms config --default` prints all known keys".to_owned();
    };
    let below = |known: &&str| known.strip_prefix(level).is_some_and(|rest| rest.starts_with('.'));
    let there = keys::KEYS.iter().map(|key| key.path).filter(below);
    format!("; known keys: {}", there.map(spell).collect::<Vec<_>>().join(", "))
}

/// As [`remedy`], of an environment variable, which may also be nearly one of the client's.
pub(super) fn variable_remedy(name: &str, path: &str) -> String {
    let clients = CLIENT_VARIABLES.iter().find(|known| strsim::damerau_levenshtein(known, name) <= 2);
    match clients {
        Some(known) => format!("; did you mean {known}?"),
        None => {
            remedy(path, false, |path| format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase()))
        }
    }
}

/// The key, or for a map the level, that is nearly written so; else the one key whose last part is nearly the same.
fn nearest(path: &str, is_map: bool) -> Option<&'static str> {
    let levels = keys::KEYS.iter().filter_map(|key| key.path.split_once('.').map(|(level, _)| level));
    let candidates: Vec<&'static str> = if is_map {
        levels.chain(keys::KEYS.iter().filter(|key| key.kind.is_free_map()).map(|key| key.path)).collect()
    } else {
        keys::KEYS.iter().map(|key| key.path).collect()
    };
    let near = |a: &str, b: &str| {
        let distance = strsim::damerau_levenshtein(a, b);
        (distance <= (b.len() / 4).clamp(1, 4)).then_some(distance)
    };
    let whole = candidates.iter().filter_map(|known| Some((near(path, known)?, *known))).min();
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let part = || {
        let typed = last(path);
        candidates.iter().filter_map(|known| Some((near(&typed, &last(known))?, *known))).min()
    };
    whole.or_else(part).map(|(_, known)| known)
}
