//! Measures the registry: builds modules that differ, puts them, asks for them, and prints times and memory.
//!
//! `cargo run --release -p claude-comms-descriptors --example discovery [MODULES]` (default 10000). Knows the registry's
//! public side only; the modules are made up, and the same on every run.

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use claude_comms_descriptors::registry::{Entry, Origin, Query, Registry};
use claude_comms_descriptors::{Capability, DataType, Descriptor, Relationship, RelationshipKind, SCHEMA};

const SUBJECTS: &[&str] = &[
    "graph",
    "document",
    "invoice",
    "image",
    "vector",
    "table",
    "log",
    "metric",
    "trace",
    "user",
    "order",
    "payment",
    "email",
    "calendar",
    "contract",
    "sensor",
    "video",
    "audio",
    "transcript",
    "map",
    "route",
    "weather",
    "ticket",
    "customer",
    "product",
    "stock",
    "ledger",
    "token",
    "secret",
    "certificate",
    "container",
    "cluster",
    "queue",
    "topic",
    "stream",
    "schema",
    "migration",
    "index",
    "cache",
    "session",
    "profile",
    "report",
    "dashboard",
    "alert",
    "patient",
    "genome",
    "molecule",
    "citation",
    "chapter",
    "recipe",
];
const VERBS: &[&str] = &[
    "extract",
    "query",
    "store",
    "convert",
    "validate",
    "merge",
    "split",
    "rank",
    "search",
    "summarise",
    "translate",
    "render",
    "import",
    "export",
    "archive",
    "restore",
    "classify",
    "cluster",
    "compare",
    "encrypt",
    "sign",
    "publish",
    "subscribe",
    "schedule",
    "monitor",
    "forecast",
    "reconcile",
    "annotate",
    "anonymise",
    "deduplicate",
];
const FORMATS: &[(&str, &str)] = &[
    ("json", "application/json"),
    ("csv", "text/csv"),
    ("markdown", "text/markdown"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("parquet", "application/vnd.apache.parquet"),
    ("xml", "application/xml"),
    ("html", "text/html"),
    ("yaml", "application/yaml"),
    ("wav", "audio/wav"),
];
const SYLLABLES: &[&str] = &[
    "ka", "ro", "mi", "ta", "ve", "lon", "dar", "fi", "zu", "pen", "gor", "sha", "bel", "qui", "tor", "nex",
    "ly", "wam", "os", "jun",
];

/// A small generator of numbers (splitmix64), so that every run measures the same modules.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// A made-up product's name: what makes a real vocabulary long.
    fn brand(&mut self) -> String {
        (0..2 + self.below(3)).map(|_| self.of(SYLLABLES)).collect()
    }
}

fn module(numbers: &mut Numbers, earlier: &[String]) -> Descriptor {
    let (brand, subject) = (numbers.brand(), numbers.of(SUBJECTS));
    let name = format!("{brand}{}{subject}_{}", numbers.of(&["_", "-"]), numbers.below(100_000));
    let mut used = HashSet::new();
    let mut capabilities = Vec::new();
    for _ in 0..3 + numbers.below(6) {
        let (verb, object) = (numbers.of(VERBS), numbers.of(SUBJECTS));
        let capability = match numbers.below(3) {
            0 => format!("{verb}_{object}"),
            1 => format!("{verb}_{object}_{}", numbers.of(FORMATS).0),
            _ => format!("{verb}_{}_{object}", numbers.brand()),
        };
        if used.insert(capability.clone()) {
            capabilities.push(Capability {
                name: capability,
                description: format!(
                    "Can {verb} every {object} that {brand} holds, by {} or by {}, and tells the {} of what it found.",
                    numbers.of(SUBJECTS), numbers.of(SUBJECTS), numbers.of(SUBJECTS)
                ),
                tags: vec![verb.to_owned(), object.to_owned()],
                read_only: numbers.below(2) == 0,
                input: None,
                output: None,
                examples: Vec::new(),
            });
        }
    }
    let data_types = (0..1 + numbers.below(3))
        .map(|_| {
            let (format, media_type) = numbers.of(FORMATS);
            DataType {
                name: format!("{}_{format}", numbers.of(SUBJECTS)),
                media_type: media_type.to_owned(),
                description: format!("What {} gives, as {format}.", numbers.brand()),
                schema: None,
            }
        })
        .collect();
    let relationships = (0..numbers.below(4).min(earlier.len()))
        .map(|_| Relationship {
            module: earlier[numbers.below(earlier.len())].clone(),
            kind: numbers.of(&RelationshipKind::ALL),
            description: String::new(),
        })
        .collect();
    Descriptor {
        schema: SCHEMA.to_owned(),
        name,
        version: "1.0.0".to_owned(),
        title: format!("{brand} {subject}"),
        description: format!(
            "{brand} keeps {subject}s in one place. It was made to {} them fast, and to {} what others {}; made by {}.",
            numbers.of(VERBS),
            numbers.of(VERBS),
            numbers.of(VERBS),
            numbers.brand()
        ),
        tags: (0..2 + numbers.below(3)).map(|_| numbers.of(SUBJECTS).to_owned()).collect(),
        capabilities,
        data_types,
        relationships,
        context: Default::default(),
        files: Default::default(),
        limits: Default::default(),
    }
}

/// Two words, a sentence, a title, its beginning, and a slip of the pen or a word that nobody has.
const TEXTS: [&str; 5] = ["two words", "sentence", "title", "beginning", "slip"];

fn text(numbers: &mut Numbers, at: usize, some: &Descriptor) -> String {
    let (verb, subject) = (numbers.of(VERBS), numbers.of(SUBJECTS));
    match at % TEXTS.len() {
        0 => format!("{verb} {subject}"),
        1 => format!("I want to {verb} the {subject}s of a {}", numbers.of(SUBJECTS)),
        2 => some.title.clone(),
        3 => some.title.chars().take(3).collect(),
        _ => subject.replace('e', "x") + "x",
    }
}

/// One of the mix: filters alone, texts alone, both.
fn query(numbers: &mut Numbers, at: usize, some: &Descriptor) -> Query {
    let text = Some(text(numbers, at, some));
    let capability = &some.capabilities[0].name;
    let word = capability.split('_').next().map(str::to_owned);
    match at % 7 {
        0 => Query { capability: Some(capability.clone()), ..Query::default() },
        1 => Query { capability: word, text, ..Query::default() },
        2 => Query { data_type: Some(numbers.of(FORMATS).0.to_owned()), ..Query::default() },
        3 => Query { tags: vec![numbers.of(SUBJECTS).to_owned()], text, ..Query::default() },
        _ => Query { text, ..Query::default() },
    }
}

/// How often each act is timed. The shortest time counts: the others tell what else the machine does.
const ROUNDS: usize = 3;

/// The shortest time of each act over all rounds, in order. Every round must do the same.
fn times(mut round: impl FnMut() -> Vec<Duration>) -> Vec<Duration> {
    let mut best = round();
    for _ in 1..ROUNDS {
        for (best, time) in best.iter_mut().zip(round()) {
            *best = time.min(*best);
        }
    }
    best.sort_unstable();
    best
}

fn each<T>(of: impl Iterator<Item = T>, mut act: impl FnMut(T)) -> Vec<Duration> {
    of.map(|item| {
        let start = Instant::now();
        act(item);
        start.elapsed()
    })
    .collect()
}

fn print(what: &str, times: &[Duration]) {
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{what:<26} n {:>6}  p50 {:>10.1?}  p99 {:>10.1?}  max {:>10.1?}",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// Resident memory in MiB; 0 where /proc has no such file.
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0 / 1048576.0
}

fn entry(descriptor: Descriptor, at: usize) -> Entry {
    Entry {
        descriptor: Arc::new(descriptor),
        origin: Origin::Registered,
        revision: 1,
        digest: format!("{at:064x}"),
        path: String::new(),
        create_time_micros: 0,
        update_time_micros: 0,
        warnings: Vec::new(),
    }
}

fn main() {
    let count = std::env::args().nth(1).map_or(10_000, |text| text.parse().expect("a number of modules"));
    let mut numbers = Numbers(7);
    let mut names: Vec<String> = Vec::new();
    let before = resident();
    let mut entries = Vec::new();
    while entries.len() < count {
        let descriptor = module(&mut numbers, &names);
        names.push(descriptor.name.clone());
        entries.push(entry(descriptor, entries.len()));
    }
    let loaded = resident();
    let mut registry = Registry::new();
    entries.iter().cloned().for_each(|entry| drop(registry.put(entry)));
    let indexed = resident();
    let capabilities: usize = entries.iter().map(|entry| entry.descriptor.capabilities.len()).sum();
    println!("modules {}  capabilities {capabilities}", registry.len());
    println!(
        "descriptors {:.1} MiB  index {:.1} MiB  resident {indexed:.1} MiB",
        loaded - before,
        indexed - loaded
    );

    writes(&mut registry, &mut numbers, &names, &entries);
    reads(&registry, &mut numbers, &names, &entries);
    println!("resident at the end {:.1} MiB", resident());
}

fn writes(registry: &mut Registry, numbers: &mut Numbers, names: &[String], entries: &[Entry]) {
    let put = times(|| {
        let mut fresh = Registry::new();
        each(entries.iter().cloned(), |entry| drop(black_box(fresh.put(entry))))
    });
    print("put (new)", &put);

    let changed: Vec<Entry> = (0..1_000)
        .map(|at| {
            let name = names[numbers.below(names.len())].clone();
            entry(Descriptor { name, ..module(numbers, names) }, entries.len() + at)
        })
        .collect();
    let put = times(|| {
        registry.replace(Origin::Registered, entries.to_vec());
        each(changed.iter().cloned(), |entry| drop(black_box(registry.put(entry))))
    });
    print("put (new content)", &put);

    let removed = times(|| {
        registry.replace(Origin::Registered, entries.to_vec());
        each(names.iter().take(1_000), |name| drop(black_box(registry.remove(name, Origin::Registered))))
    });
    print("remove", &removed);

    registry.replace(Origin::Registered, entries.to_vec());
    let same = times(|| {
        each(0..1, |_| {
            black_box(registry.replace(Origin::Registered, entries.to_vec()));
        })
    });
    print("replace (all kept)", &same);
}

fn reads(registry: &Registry, numbers: &mut Numbers, names: &[String], entries: &[Entry]) {
    let queries: Vec<Query> = (0..1_000)
        .map(|at| {
            let some = numbers.below(entries.len());
            query(numbers, at, &entries[some].descriptor)
        })
        .collect();
    let discover = |query: &Query| drop(black_box(registry.discover(query, 0, 20)));
    print("discover (mixed)", &times(|| each(queries.iter(), discover)));
    let found = queries.iter().filter(|query| registry.discover(query, 0, 20).total > 0).count();
    println!("  {found} of {} found something", queries.len());

    for (kind, what) in TEXTS.iter().enumerate() {
        let queries: Vec<Query> = (0..200)
            .map(|_| {
                let some = numbers.below(entries.len());
                Query { text: Some(text(numbers, kind, &entries[some].descriptor)), ..Query::default() }
            })
            .collect();
        print(&format!("discover ({what})"), &times(|| each(queries.iter(), discover)));
    }
    let all = Query::default();
    print("discover (everything)", &times(|| each(0..1_000, |_| discover(&all))));

    let misspelt: Vec<String> = (0..1_000)
        .map(|_| {
            let mut name = names[numbers.below(names.len())].clone();
            name.remove(numbers.below(name.len()));
            name
        })
        .collect();
    let near = times(|| each(misspelt.iter(), |name| drop(black_box(registry.near(name, 3)))));
    print("near (3)", &near);
    let far: Vec<String> = (0..100).map(|_| format!("{}x{}", numbers.brand(), numbers.brand())).collect();
    print("near (3, of none)", &times(|| each(far.iter(), |name| drop(black_box(registry.near(name, 3))))));

    let some = || names.iter().take(1_000);
    print("relationships", &times(|| each(some(), |name| drop(black_box(registry.relationships(name))))));
    print(
        "list (100)",
        &times(|| each(some(), |name| drop(black_box(registry.list(Some(name), 100, None))))),
    );
}
