//! Twelve modules as people would write them, to look for things in.

use claude_comms_descriptors::Descriptor;
use claude_comms_descriptors::registry::Registry;

use crate::{capability, data_type, described, registry, strings};

pub(crate) fn twelve() -> Registry {
    let module = |name: &str, title: &str, tags: &[&str], description: &str| Descriptor {
        title: title.to_owned(),
        tags: strings(tags),
        ..described(name, description)
    };
    registry([
        Descriptor {
            capabilities: vec![
                capability("run_aql", "Runs an AQL query and returns its rows.", &["aql", "query"]),
                capability("store_graph", "Stores vertices and edges.", &["graph", "write"]),
            ],
            data_types: vec![data_type("graph_json", "application/json")],
            ..module(
                "arangodb",
                "ArangoDB",
                &["Database", "graph"],
                "A multi-model database for documents and graphs.",
            )
        },
        Descriptor {
            capabilities: vec![capability("backup", "Saves a database of ArangoDB to disk.", &["backup"])],
            ..module(
                "arangodb_backup",
                "Backups of ArangoDB",
                &["backup"],
                "Saves and restores ArangoDB databases.",
            )
        },
        Descriptor {
            capabilities: vec![
                capability("extract_markdown", "Turns a PDF into Markdown.", &["pdf", "ocr"]),
                capability("extract_tables", "Finds tables in a PDF.", &["pdf"]),
            ],
            data_types: vec![data_type("markdown", "text/markdown"), data_type("pdf", "application/pdf")],
            ..module(
                "marker",
                "Marker",
                &["pdf", "extraction"],
                "Converts documents to Markdown with layout and formulas.",
            )
        },
        Descriptor {
            capabilities: vec![capability("run_cypher", "Runs a Cypher query.", &["query", "cypher"])],
            ..module("neo4j", "Neo4j", &["database", "graph"], "A graph database that speaks Cypher.")
        },
        Descriptor {
            capabilities: vec![capability("run_sql", "Runs an SQL query.", &["query", "sql"])],
            data_types: vec![data_type("rows", "application/json")],
            ..module("postgres", "PostgreSQL", &["database", "relational"], "A relational database.")
        },
        Descriptor {
            capabilities: vec![capability("search_text", "Finds text in many documents.", &["search"])],
            ..module("elastic", "Elasticsearch", &["search"], "Full-text search with queries in JSON.")
        },
        Descriptor {
            capabilities: vec![capability("plot", "Draws a chart of a table.", &["chart"])],
            data_types: vec![data_type("png", "image/png")],
            ..module("plotter", "Plotter", &["charts"], "Draws charts and graphs of functions.")
        },
        Descriptor {
            capabilities: vec![capability("sendMail", "Sends an e-mail.", &["email"])],
            ..module("mailer", "Mailer", &["email"], "Sends and receives e-mails.")
        },
        Descriptor {
            capabilities: vec![capability("ocr-page", "Reads the text of a scanned page.", &["vision"])],
            ..module("tesseract", "Tesseract", &["ocr"], "Reads text in images.")
        },
        module("weather", "Weather", &["forecast"], "Tells tomorrow's weather."),
        module("calendar", "Calendar", &["dates"], "Keeps dates and classes."),
        module("übersetzer", "Übersetzer", &["Sprache"], "Übersetzt Größen und Maße."),
    ])
}
