//! Whatever came and went: the registry answers as one that was built anew from what is there.

use claude_comms_descriptors::registry::{Entry, Origin, Query, Registry};
use claude_comms_descriptors::{Descriptor, Relationship, RelationshipKind};
use proptest::prelude::*;

use crate::{capability, data_type, entry, module, strings};

const NAMES: [&str; 6] = ["alpha", "beta", "gamma", "graph_store", "pdf-reader", "pdfs"];
const WORDS: [&str; 10] =
    ["graph", "graphs", "pdf", "pdfReader", "query", "queries", "json", "storage", "stored", "x"];

#[derive(Debug, Clone)]
enum Step {
    Put(Entry),
    Remove(&'static str, Origin),
    Replace(Origin, Vec<Entry>),
}

fn descriptors() -> impl Strategy<Value = Descriptor> {
    let some = |most| prop::collection::vec(prop::sample::select(&WORDS[..]), 0..most);
    let kinds = prop::sample::select(&RelationshipKind::ALL[..]);
    (
        prop::sample::select(&NAMES[..]),
        (some(3), some(4), some(3), some(3), some(3)),
        prop::collection::vec((prop::sample::select(&NAMES[..]), kinds), 0..3),
    )
        .prop_map(|(name, (tags, said, can, can_tags, data), related)| Descriptor {
            title: said.first().copied().unwrap_or_default().to_owned(),
            description: said.join(" and "),
            tags: strings(&tags),
            capabilities: can
                .iter()
                .map(|word| capability(&format!("run_{word}"), word, &can_tags))
                .collect(),
            data_types: data.iter().map(|word| data_type(word, "application/json")).collect(),
            relationships: related
                .into_iter()
                .map(|(other, kind)| Relationship {
                    module: other.to_owned(),
                    kind,
                    description: String::new(),
                })
                .collect(),
            ..module(name)
        })
}

fn steps() -> impl Strategy<Value = Step> {
    let origins = || prop::sample::select(&Origin::ALL[..]);
    let entries = || (descriptors(), origins()).prop_map(|(descriptor, origin)| entry(descriptor, origin));
    prop_oneof![
        4 => entries().prop_map(Step::Put),
        2 => (prop::sample::select(&NAMES[..]), origins()).prop_map(|(name, origin)| Step::Remove(name, origin)),
        1 => (origins(), prop::collection::vec(entries(), 0..4))
            .prop_map(|(origin, entries)| Step::Replace(origin, entries)),
    ]
}

fn built_anew(registry: &Registry) -> Registry {
    let mut fresh = Registry::new();
    // The other way round, so that documents are numbered differently.
    for name in registry.names().collect::<Vec<_>>().into_iter().rev() {
        for origin in registry.origins(name) {
            fresh.put(Entry::clone(registry.get_from(name, origin).expect("its origin has it")));
        }
    }
    fresh
}

fn queries() -> Vec<Query> {
    let mut queries = vec![Query::default()];
    for word in
        WORDS.iter().chain(&NAMES).copied().chain(["gr", "sto ", "qurey", "application/json", "run x"])
    {
        let some = Some(word.to_owned());
        queries.push(Query { text: some.clone(), ..Query::default() });
        queries.push(Query { text: Some(format!("{word} graph json")), ..Query::default() });
        queries.push(Query { capability: some.clone(), ..Query::default() });
        queries.push(Query { data_type: some, ..Query::default() });
        queries.push(Query { tags: vec![word.to_owned()], text: Some("pdf".to_owned()), ..Query::default() });
        queries.push(Query { tags: vec![word.to_owned()], ..Query::default() });
    }
    queries
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_came_and_went_leaves_no_trace(steps in prop::collection::vec(steps(), 1..24)) {
        let mut registry = Registry::new();
        for step in steps {
            match step {
                Step::Put(entry) => drop(registry.put(entry)),
                Step::Remove(name, origin) => drop(registry.remove(name, origin)),
                Step::Replace(origin, entries) => drop(registry.replace(origin, entries)),
            }
        }
        let fresh = built_anew(&registry);
        prop_assert_eq!(registry.list(None, 100, None), fresh.list(None, 100, None));
        for query in queries() {
            prop_assert_eq!(registry.discover(&query, 0, 4), fresh.discover(&query, 0, 4), "{:?}", query);
        }
        for name in NAMES {
            prop_assert_eq!(registry.relationships(name), fresh.relationships(name));
            prop_assert_eq!(registry.relationship_warnings(name), fresh.relationship_warnings(name));
            for other in NAMES {
                let all = registry.relationships(name);
                let between: Vec<_> = all.into_iter().filter(|line| line.module == other).collect();
                prop_assert_eq!(registry.between(name, other), between);
            }
        }
    }
}
