//! What of a descriptor is searched, and how much each part weighs. The weights follow BM25F: a word counts by the fields
//! it stands in, less in a long field than in a short one.

use std::collections::HashMap;

use super::tokens::tokens;
use crate::Descriptor;

/// A searched part of a descriptor.
struct Field {
    weight: f32,
    /// How many tokens such a field usually has. A constant in place of the average over all modules: so a module's
    /// weights do not depend on the others, and none need be indexed anew when one comes or goes.
    usual: f32,
    /// How much the length matters, from 0 to 1.
    slope: f32,
}

const FIELDS: [Field; 9] = [
    Field { weight: 6.0, usual: 2.0, slope: 0.2 },  // name
    Field { weight: 5.0, usual: 3.0, slope: 0.3 },  // title
    Field { weight: 4.0, usual: 5.0, slope: 0.3 },  // tags
    Field { weight: 4.0, usual: 10.0, slope: 0.3 }, // names of capabilities
    Field { weight: 3.0, usual: 8.0, slope: 0.3 },  // tags of capabilities
    Field { weight: 3.0, usual: 5.0, slope: 0.3 },  // names of data types
    Field { weight: 1.5, usual: 25.0, slope: 0.7 }, // description
    Field { weight: 1.0, usual: 50.0, slope: 0.7 }, // descriptions of capabilities
    Field { weight: 0.8, usual: 20.0, slope: 0.7 }, // descriptions of data types
];

/// Tells every searched text of a descriptor, with the number of its field; by field.
fn texts<'a>(descriptor: &'a Descriptor, tell: &mut impl FnMut(usize, &'a str)) {
    tell(0, &descriptor.name);
    tell(1, &descriptor.title);
    descriptor.tags.iter().for_each(|tag| tell(2, tag));
    descriptor.capabilities.iter().for_each(|capability| tell(3, &capability.name));
    descriptor.capabilities.iter().flat_map(|capability| &capability.tags).for_each(|tag| tell(4, tag));
    descriptor.data_types.iter().for_each(|data| tell(5, &data.name));
    tell(6, &descriptor.description);
    descriptor.capabilities.iter().for_each(|capability| tell(7, &capability.description));
    descriptor.data_types.iter().for_each(|data| tell(8, &data.description));
}

/// Every word of a descriptor and its weight there.
pub(super) fn weights(descriptor: &Descriptor) -> impl Iterator<Item = (String, f32)> {
    let mut counts: HashMap<String, [f32; FIELDS.len()]> = HashMap::new();
    let mut lengths = [0.0_f32; FIELDS.len()];
    texts(descriptor, &mut |field, text| {
        for token in tokens(text) {
            counts.entry(token.folded).or_default()[field] += 1.0;
            lengths[field] += 1.0;
        }
    });
    counts.into_iter().map(move |(word, counts)| {
        let weight = FIELDS
            .iter()
            .zip(counts.iter().zip(lengths))
            .filter(|(_, (count, _))| **count > 0.0)
            .map(|(field, (count, length))| {
                field.weight * count / (1.0 - field.slope + field.slope * length / field.usual)
            })
            .sum();
        (word, weight)
    })
}

/// The words of a descriptor, without weights; one may come several times.
pub(super) fn words(descriptor: &Descriptor, mut tell: impl FnMut(&str)) {
    texts(descriptor, &mut |_, text| tokens(text).for_each(|token| tell(&token.folded)));
}

/// How a descriptor writes a word that is compared as `folded`: the first such one, in lower case.
pub(super) fn surface(descriptor: &Descriptor, folded: &str) -> Option<String> {
    let mut found = None;
    texts(descriptor, &mut |_, text| {
        if found.is_none() {
            found = tokens(text).find(|token| token.folded == folded).map(|token| token.surface);
        }
    });
    found
}
