//! That the simulated Claude tells no nonsense: what it answers is of the paper, and is what ArangoDB takes.

use std::collections::{HashMap, HashSet};

use claude_comms_client::v1;
use claude_comms_context::answer::{self, Answer, OutputSchema};
use claude_comms_descriptors::{DataSchema, Descriptor, standard};
use serde_json::{Value, json};

use super::{
    SCENARIO,
    demand::{Aql, Demand, Storage},
    paper::{HEADING, Paper, SOURCE},
};

/// What is said three times: the answer that does not fit, the one that does, the one to the second question.
fn answers() -> [String; 3] {
    let scenario: Value = serde_yaml::from_str(SCENARIO).expect("YAML");
    let turns = scenario["turns"].as_array().expect("turns");
    let said = |step: &Value| step["words"].as_str().or(step["text"].as_str()).unwrap_or_default().to_owned();
    let steps = |turn: &Value| turn["steps"].as_array().expect("steps").iter().map(said).collect();
    turns.iter().map(steps).collect::<Vec<_>>().try_into().expect("three answers")
}

fn arangodb() -> &'static Descriptor {
    standard().iter().find(|module| module.name == "arangodb").expect("a standard module")
}

/// As the server gives it.
fn module() -> v1::Module {
    let text = |schema: &Option<Value>| schema.as_ref().map(Value::to_string).unwrap_or_default();
    let capabilities = arangodb().capabilities.iter().map(|capability| v1::Capability {
        name: capability.name.clone(),
        input_schema_json: text(&capability.input),
        ..Default::default()
    });
    let data_types = arangodb().data_types.iter().map(|data_type| v1::DataType {
        name: data_type.name.clone(),
        schema_json: text(&data_type.schema),
        ..Default::default()
    });
    v1::Module {
        capabilities: capabilities.collect(),
        data_types: data_types.collect(),
        ..Default::default()
    }
}

/// The data of an answer, which must fit.
fn data(text: &str, demand: &Demand) -> String {
    let schema = OutputSchema::parse(demand.text()).expect("a schema");
    match answer::read(text, Some(&schema)) {
        Answer::Data { json, .. } => json,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_is(name: &str, value: &Value) {
    let data_type = arangodb().data_types.iter().find(|data_type| data_type.name == name).expect(name);
    let schema = DataSchema::compile(data_type.schema.as_ref().expect("its shape")).expect("a schema");
    assert_eq!(schema.findings(value), [], "{name}: {value}");
}

fn items<'a>(data: &'a Value, kind: &str, collection: &str) -> &'a [Value] {
    data[kind][collection].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn the_first_answer_lacks_the_end_of_one_edge_and_nothing_else() {
    let demand = Demand::storage(&module()).expect("a demand");
    let [first, second, _] = answers();
    let wrong = demand.wrong(&first).expect("it does not fit");
    assert_eq!(wrong, r#"edges.captions[0]: lacks the required member "_to""#);
    assert_eq!(demand.wrong(&second), None);
    let there = r#"{"_from": "chunks/quiet_lakes-p1-b2", "_to": "chunks/quiet_lakes-p1-b3"}"#;
    let data = |text: &str| text.split_once("```json").expect("data").1.to_owned();
    assert_eq!(data(&first), data(&second).replace(there, r#"{"_from": "chunks/quiet_lakes-p1-b2"}"#));
}

#[test]
fn documents_and_edges_are_the_papers_blocks_and_fit_arangodb() {
    let [_, text, _] = answers();
    let json = data(&text, &Demand::storage(&module()).expect("a demand"));
    let all: Value = serde_json::from_str(&json).expect("JSON");
    let paper = Paper::read();
    let blocks: HashMap<_, _> = paper.asked().map(|block| (block.id(), block)).collect();
    let chunks = items(&all, "documents", "chunks");
    let mut keys = HashMap::new();
    for chunk in chunks {
        assert_is("document", chunk);
        let id = chunk["chunk_id"].as_str().expect("an ID");
        let block = blocks.get(id).expect("a block of the paper");
        let around: Vec<_> = block.headings().filter(|heading| *heading != id).collect();
        let titles: Vec<_> = around.iter().map(|heading| blocks[heading].text()).collect();
        let mut wanted = json!({
            "source": SOURCE, "chunk_id": id, "page": block.page(), "block_type": block.kind(),
            "section": titles, "text": block.text(),
        });
        if block.kind() == "Table" {
            wanted["html"] = block.field("html").into();
        }
        assert_is("document_chunk", &wanted);
        wanted["_key"] = chunk["_key"].clone();
        assert_eq!(*chunk, wanted);
        keys.insert(id, format!("chunks/{}", chunk["_key"].as_str().expect("a key")));
    }
    let whole = |kind: &str| kind.ends_with("Group");
    assert_eq!(chunks.len(), blocks.values().filter(|block| !whole(block.kind())).count());
    assert_eq!(keys.values().collect::<HashSet<_>>().len(), chunks.len(), "a key is there once");

    let pair = |edge: &Value| {
        assert_is("edge", edge);
        (edge["_from"].clone(), edge["_to"].clone())
    };
    let found: Vec<_> = items(&all, "edges", "under").iter().map(pair).collect();
    let mut wanted = Vec::new();
    for chunk in chunks {
        let id = chunk["chunk_id"].as_str().expect("an ID");
        if let Some(heading) = blocks[id].headings().filter(|heading| *heading != id).last() {
            wanted.push((json!(keys[id]), json!(keys[heading])));
        }
    }
    assert_eq!(found, wanted, "each block is under its innermost heading");
    let found: Vec<_> = items(&all, "edges", "captions").iter().map(pair).collect();
    let groups = blocks.values().filter(|block| whole(block.kind()));
    assert_eq!(found.len(), groups.count(), "each group is an edge");
    for (caption, of) in found {
        let group = blocks.values().find(|block| {
            let holds = |end: &Value| {
                keys.iter().any(|(id, key)| *end == **key && block.field("html").contains(&format!("'{id}'")))
            };
            whole(block.kind()) && holds(&caption) && holds(&of)
        });
        assert!(group.is_some(), "{caption} and {of} are in one group");
    }

    let storage = Storage::read(&json);
    let edges = ["under", "captions"];
    for (name, kind) in &storage.collections {
        assert_eq!(kind, if edges.contains(&name.as_str()) { "edge" } else { "document" });
    }
    assert_eq!((storage.collections.len(), &storage.documents[..]), (3, &[("chunks".to_owned(), 12)][..]));
    let edge = storage.edge.as_ref().expect("an edge");
    assert_eq!((&*edge.0, &*edge.1), ("chunks/quiet_lakes-p1-b2", "chunks/quiet_lakes-p1-b3"));
    assert!(storage.document.is_some_and(|document| document.contains(r#""block_type":"Table""#)));
    assert_query(&storage.aql);
}

#[test]
fn the_second_answer_is_a_query_over_what_the_first_one_made() {
    let [.., text] = answers();
    let aql = Aql::read(&data(&text, &Demand::query(&module()).expect("a demand")));
    assert_query(&aql);
    assert!(aql.bind.contains(r#""@captions":"captions""#), "{}", aql.bind);
}

/// All that the query names is bound, all that is bound is named, and it is about the section of the question.
fn assert_query(aql: &Aql) {
    let bind: Value = serde_json::from_str(&aql.bind).expect("JSON");
    assert_is("aql_query", &json!({"query": aql.query, "bind": bind}));
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '@');
    let named = aql.query.split(word).filter_map(|word| word.strip_prefix('@')).collect::<HashSet<_>>();
    let bound = bind.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(named, bound);
    assert_eq!(bind["heading"], HEADING);
}
