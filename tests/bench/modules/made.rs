//! Modules that are made up, and questions about them: varied as real ones are, and the same on every run.

use std::collections::{BTreeMap, HashSet};

use claude_comms_descriptors::{
    Capability, ContextSpec, DataType, Descriptor, Relationship, RelationshipKind, SCHEMA,
};
use claude_comms_proto::v1::DiscoverModulesRequest;
use serde_json::{Map, Value, json};

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
];
const TYPES: &[&str] = &["string", "integer", "number", "boolean"];
const SYLLABLES: &[&str] = &[
    "ka", "ro", "mi", "ta", "ve", "lon", "dar", "fi", "zu", "pen", "gor", "sha", "bel", "qui", "tor", "nex",
    "ly", "wam", "os", "jun",
];

/// A small generator of numbers (splitmix64).
#[derive(Debug)]
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, limit: usize) -> usize {
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

    /// Three to eight.
    fn some(&mut self) -> usize {
        3 + self.below(6)
    }

    fn schema(&mut self) -> Value {
        let fields: Map<String, Value> = (0..1 + self.below(4))
            .map(|_| {
                let about = format!("The {} that is meant.", self.of(SUBJECTS));
                (self.of(SUBJECTS).to_owned(), json!({"type": self.of(TYPES), "description": about}))
            })
            .collect();
        let required = fields.keys().next().cloned();
        json!({"type": "object", "properties": fields, "required": [required]})
    }
}

/// So many modules, the later ones related to earlier ones.
pub(super) fn modules(count: usize) -> Vec<Descriptor> {
    let mut numbers = Numbers(7);
    let mut names: Vec<String> = Vec::with_capacity(count);
    let mut taken = HashSet::new();
    let mut modules = Vec::with_capacity(count);
    while modules.len() < count {
        let module = module(&mut numbers, &names);
        if taken.insert(module.name.clone()) {
            names.push(module.name.clone());
            modules.push(module);
        }
    }
    modules
}

fn module(numbers: &mut Numbers, earlier: &[String]) -> Descriptor {
    let (brand, subject) = (numbers.brand(), numbers.of(SUBJECTS));
    let name = format!("{brand}{}{subject}_{}", numbers.of(&["_", "-"]), numbers.below(100_000));
    let capabilities = distinct((0..numbers.some()).map(|_| capability(numbers, &brand)), |one| &one.name);
    let data_types = distinct((0..1 + numbers.below(3)).map(|_| data_type(numbers)), |one| &one.name);
    let relationships: Vec<Relationship> = (0..numbers.some().min(earlier.len()))
        .map(|_| Relationship {
            module: earlier[numbers.below(earlier.len())].clone(),
            kind: numbers.of(&RelationshipKind::ALL),
            description: format!("Shares every {} with it.", numbers.of(SUBJECTS)),
        })
        .collect();
    Descriptor {
        schema: SCHEMA.to_owned(),
        version: "1.0.0".to_owned(),
        title: format!("{brand} {subject}"),
        description: format!(
            "{brand} keeps {subject}s in one place. It was made to {} them fast, and to {} what others {}; made by {}.",
            numbers.of(VERBS),
            numbers.of(VERBS),
            numbers.of(VERBS),
            numbers.brand()
        ),
        tags: distinct((0..2 + numbers.below(3)).map(|_| numbers.of(SUBJECTS).to_owned()), |tag| tag),
        capabilities,
        data_types,
        relationships: distinct(relationships, |one| &one.module),
        context: context(numbers, &brand, subject),
        files: Default::default(),
        limits: Default::default(),
        name,
    }
}

fn capability(numbers: &mut Numbers, brand: &str) -> Capability {
    let (verb, object) = (numbers.of(VERBS), numbers.of(SUBJECTS));
    let name = match numbers.below(3) {
        0 => format!("{verb}_{object}"),
        1 => format!("{verb}_{object}_{}", numbers.of(FORMATS).0),
        _ => format!("{verb}_{}_{object}", numbers.brand()),
    };
    Capability {
        name,
        description: format!(
            "Can {verb} every {object} that {brand} holds, by {} or by {}, and tells the {} of what it found.",
            numbers.of(SUBJECTS),
            numbers.of(SUBJECTS),
            numbers.of(SUBJECTS)
        ),
        tags: distinct([verb.to_owned(), object.to_owned()], |tag| tag),
        read_only: numbers.below(2) == 0,
        input: Some(numbers.schema()),
        output: Some(numbers.schema()),
        examples: Vec::new(),
    }
}

fn data_type(numbers: &mut Numbers) -> DataType {
    let (format, media_type) = numbers.of(FORMATS);
    DataType {
        name: format!("{}_{format}", numbers.of(SUBJECTS)),
        media_type: media_type.to_owned(),
        description: format!("What {} gives, as {format}.", numbers.brand()),
        schema: None,
    }
}

fn context(numbers: &mut Numbers, brand: &str, subject: &str) -> ContextSpec {
    let word = |numbers: &mut Numbers| numbers.of(SUBJECTS).to_owned();
    let glossary: BTreeMap<String, String> = (0..2 + numbers.below(3))
        .map(|_| (word(numbers), format!("A {} as {brand} understands it.", word(numbers))))
        .collect();
    ContextSpec {
        role: format!("You are {brand} and know every {subject} that was ever given to you."),
        instructions: format!("Name the {} first, then what to do with it.", word(numbers)),
        constraints: (0..2).map(|_| format!("Never give away a {}.", word(numbers))).collect(),
        glossary,
        ..ContextSpec::default()
    }
}

/// The first of each key.
fn distinct<T>(all: impl IntoIterator<Item = T>, key: impl Fn(&T) -> &String) -> Vec<T> {
    let mut seen = HashSet::new();
    all.into_iter().filter(|one| seen.insert(key(one).clone())).collect()
}

/// One of a mix: filters alone, texts alone, both; texts of two words, a sentence, a title, its beginning, a slip of the pen.
pub(super) fn question(numbers: &mut Numbers, at: usize, some: &Descriptor) -> DiscoverModulesRequest {
    let (verb, subject) = (numbers.of(VERBS), numbers.of(SUBJECTS));
    let text = match at % 5 {
        0 => format!("{verb} {subject}"),
        1 => format!("I want to {verb} the {subject}s of a {}", numbers.of(SUBJECTS)),
        2 => some.title.clone(),
        3 => some.title.chars().take(3).collect(),
        _ => subject.replace('e', "x") + "x",
    };
    let capability = some.capabilities[0].name.clone();
    let word = capability.split('_').next().unwrap_or_default().to_owned();
    let all = DiscoverModulesRequest::default();
    match at % 7 {
        0 => DiscoverModulesRequest { capability, ..all },
        1 => DiscoverModulesRequest { capability: word, text, ..all },
        2 => DiscoverModulesRequest { data_type: numbers.of(FORMATS).0.to_owned(), ..all },
        3 => DiscoverModulesRequest { tags: vec![subject.to_owned()], text, ..all },
        _ => DiscoverModulesRequest { text, ..all },
    }
}
