//! The data that the demo's questions demand, made of what ArangoDB's descriptor says of its own data, and the reading of
//! what comes. Knows no server.

use claude_comms_client::v1;
use claude_comms_context::answer::{self, Answer, OutputSchema};
use serde_json::{Value, json};

/// A JSON Schema and the words about what does not fit it.
#[derive(Debug)]
pub(super) struct Demand {
    schema: OutputSchema,
    text: String,
}

/// What a document database is to do, as the first answer gives it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Storage {
    /// Names and types of the collections.
    pub(super) collections: Vec<(String, String)>,
    /// Names of collections and how many documents are for each.
    pub(super) documents: Vec<(String, usize)>,
    /// Names of collections and how many edges are for each.
    pub(super) edges: Vec<(String, usize)>,
    /// One of the edges: from where, to where.
    pub(super) edge: Option<(String, String)>,
    /// The document that it leads to, as JSON text.
    pub(super) document: Option<String>,
    pub(super) aql: Aql,
}

/// A query that can be run.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Aql {
    pub(super) query: String,
    /// Its bind parameters as JSON text.
    pub(super) bind: String,
}

impl Demand {
    /// Collections, the documents and edges in them, and a query. `None` when the module does not describe such data.
    pub(super) fn storage(arangodb: &v1::Module) -> Option<Self> {
        let mut document = data_type(arangodb, "document")?;
        // The asker chooses the keys, so that its edges can name them.
        document["required"] = json!(["_key"]);
        let by_collection = |items: Value| json!({"type": "object", "additionalProperties": {"type": "array", "items": items}});
        Self::of(json!({
            "type": "object",
            "properties": {
                "collections": {"type": "array", "minItems": 1, "items": input(arangodb, "create_collection")?},
                "documents": by_collection(document),
                "edges": by_collection(data_type(arangodb, "edge")?),
                "aql": data_type(arangodb, "aql_query")?,
            },
            "required": ["collections", "documents", "edges", "aql"],
            "additionalProperties": false,
        }))
    }

    /// A query alone.
    pub(super) fn query(arangodb: &v1::Module) -> Option<Self> {
        Self::of(data_type(arangodb, "aql_query")?)
    }

    fn of(schema: Value) -> Option<Self> {
        Some(Self { text: schema.to_string(), schema: OutputSchema::compile(&schema).ok()? })
    }

    /// The schema as JSON text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What is wrong with an answer's data, as Claude is told it; the first finding and how many more there are.
    pub(super) fn wrong(&self, answer: &str) -> Option<String> {
        let Answer::Invalid { findings } = answer::read(answer, Some(&self.schema)) else { return None };
        let first = findings.first()?;
        Some(match findings.len() {
            1 => first.to_string(),
            n => format!("{first}, and {} more", n - 1),
        })
    }
}

impl Storage {
    /// Reads data that fits.
    pub(super) fn read(data: &str) -> Self {
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        let word = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let collections = data["collections"].as_array().into_iter().flatten();
        let edge = of_each(&data["edges"]).next().map(|(_, edge)| (word(edge, "_from"), word(edge, "_to")));
        let document = of_each(&data["documents"]).find(|(collection, document)| {
            let id = format!("{collection}/{}", word(document, "_key"));
            edge.as_ref().is_some_and(|(_, to)| *to == id)
        });
        Self {
            document: document.map(|(_, document)| document.to_string()),
            edge,
            collections: collections.map(|one| (word(one, "name"), word(one, "type"))).collect(),
            documents: counts(&data["documents"]),
            edges: counts(&data["edges"]),
            aql: Aql::of(&data["aql"]),
        }
    }
}

impl Aql {
    /// Reads data that fits.
    pub(super) fn read(data: &str) -> Self {
        Self::of(&serde_json::from_str(data).unwrap_or_default())
    }

    fn of(value: &Value) -> Self {
        Self {
            query: value["query"].as_str().unwrap_or_default().to_owned(),
            bind: value["bind"].to_string(),
        }
    }
}

fn counts(by_collection: &Value) -> Vec<(String, usize)> {
    let all = by_collection.as_object().into_iter().flatten();
    all.map(|(name, list)| (name.clone(), list.as_array().map_or(0, Vec::len))).collect()
}

/// Every item with the name of its collection.
fn of_each(by_collection: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all = by_collection.as_object().into_iter().flatten();
    all.flat_map(|(name, list)| list.as_array().into_iter().flatten().map(move |item| (name.as_str(), item)))
}

fn data_type(module: &v1::Module, name: &str) -> Option<Value> {
    let found = module.data_types.iter().find(|data_type| data_type.name == name)?;
    serde_json::from_str(&found.schema_json).ok()
}

fn input(module: &v1::Module, name: &str) -> Option<Value> {
    let found = module.capabilities.iter().find(|capability| capability.name == name)?;
    serde_json::from_str(&found.input_schema_json).ok()
}
