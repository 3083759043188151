//! Keys that a mapping has twice, at every depth. Parsers would silently let the last one win.

use std::collections::HashMap;

use crate::{
    check::findings::Findings,
    node::{At, Place, child},
};

pub(super) fn check(at: &At<'_>, findings: &mut Findings) {
    let mut first: HashMap<&str, Place> = HashMap::new();
    for (key, place, value) in at.entries() {
        if let Some(before) = first.get(key) {
            findings.problem_at(
                child(&at.path, key),
                place,
                format!("the key is here twice, first in line {}; keep one", before.line),
            );
        } else {
            first.insert(key, place);
        }
        check(&value, findings);
    }
    for item in at.items() {
        check(&item, findings);
    }
}
