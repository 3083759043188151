//! Discovery: what is found, in which order, and by what.

use claude_comms_descriptors::registry::{Query, Registry};

use crate::found_set::twelve;
use crate::{capability, module, strings};

fn text(text: &str) -> Query {
    Query { text: Some(text.to_owned()), ..Query::default() }
}

fn with_capability(name: &str) -> Query {
    Query { capability: Some(name.to_owned()), ..Query::default() }
}

fn with_data(name: &str) -> Query {
    Query { data_type: Some(name.to_owned()), ..Query::default() }
}

fn with_tags(tags: &[&str]) -> Query {
    Query { tags: strings(tags), ..Query::default() }
}

fn names(registry: &Registry, query: &Query) -> Vec<String> {
    let found = registry.discover(query, 0, 100);
    assert_eq!(found.total, found.matches.len());
    assert!(
        found.matches.is_sorted_by(|one, other| {
            (-one.score, one.entry.name()) < (-other.score, other.entry.name())
        })
    );
    found.matches.iter().map(|found| found.entry.name().to_owned()).collect()
}

fn matched(registry: &Registry, query: &Query, name: &str) -> Vec<String> {
    let found = registry.discover(query, 0, 100);
    found.matches.into_iter().find(|found| found.entry.name() == name).expect("it is found").matched
}

#[test]
fn a_module_that_is_called_so_comes_before_those_that_mention_it() {
    let registry = twelve();
    assert_eq!(names(&registry, &text("arangodb")), ["arangodb", "arangodb_backup"]);
    assert_eq!(names(&registry, &text("arango")), ["arangodb", "arangodb_backup"], "as its beginning does");
    assert_eq!(names(&registry, &text("arangodb backup"))[0], "arangodb_backup");
    assert_eq!(names(&registry, &text("backup of ArangoDB"))[0], "arangodb_backup");
}

#[test]
fn a_need_in_words_finds_who_can_do_it() {
    let registry = twelve();
    for (need, first) in [
        ("extract tables from a pdf", "marker"),
        ("run an aql query on a graph", "arangodb"),
        ("cypher queries", "neo4j"),
        ("send an email", "mailer"),
        ("full text search in documents", "elastic"),
        ("draw a chart", "plotter"),
        ("relational database", "postgres"),
        ("scanned pages", "tesseract"),
        ("weather tomorrow", "weather"),
    ] {
        assert_eq!(names(&registry, &text(need))[0], first, "{need}");
    }
}

#[test]
fn a_tag_or_a_capability_counts_more_than_a_mention() {
    let graph = names(&twelve(), &text("graph"));
    assert_eq!(graph, ["arangodb", "neo4j", "plotter"]);
}

#[test]
fn a_match_tells_by_what_it_was_found() {
    let registry = twelve();
    assert_eq!(matched(&registry, &text("AQL Graphs weather"), "arangodb"), ["text: aql, graphs"]);
    let query = Query {
        capability: Some("RUN-AQL".to_owned()),
        data_type: Some("json".to_owned()),
        tags: strings(&["database"]),
        text: Some("graph".to_owned()),
    };
    assert_eq!(
        matched(&registry, &query, "arangodb"),
        ["capability run_aql", "data type graph_json", "tag Database", "text: graph"]
    );
}

#[test]
fn a_capability_is_found_by_its_name_then_by_a_word_of_it_then_by_its_tag() {
    let mut all = vec![module("exact"), module("word"), module("longer"), module("tagged"), module("none")];
    all[0].capabilities = vec![capability("ocr", "", &[])];
    all[1].capabilities = vec![capability("run_ocr", "", &[])];
    all[2].capabilities = vec![capability("ocr_of_many_pages", "", &[])];
    all[3].capabilities = vec![capability("read", "", &["OCR"])];
    all[4].capabilities = vec![capability("mediocre", "", &["ocr_page"])];
    let registry = crate::registry(all);
    assert_eq!(names(&registry, &with_capability("ocr")), ["exact", "word", "longer", "tagged"]);
    assert_eq!(matched(&registry, &with_capability("OCR"), "tagged"), ["capability read (tag OCR)"]);
    assert_eq!(names(&twelve(), &with_capability("run")), ["arangodb", "postgres", "neo4j"]);
    assert_eq!(names(&twelve(), &with_capability("run_")), ["arangodb", "postgres", "neo4j"]);
    assert_eq!(names(&twelve(), &with_capability("sendmail")), ["mailer"]);
}

#[test]
fn a_data_type_is_found_by_its_name_and_by_its_media_type() {
    let registry = twelve();
    assert_eq!(names(&registry, &with_data("application/json")), ["arangodb", "postgres"]);
    assert_eq!(names(&registry, &with_data("PDF")), ["marker"]);
    assert_eq!(names(&registry, &with_data("graph-json")), ["arangodb"]);
    assert_eq!(matched(&registry, &with_data("image/png"), "plotter"), ["data type png"]);
    assert!(names(&registry, &with_data("ason")).is_empty(), "a part is found from the beginning of a word");
}

#[test]
fn every_tag_must_be_there_on_the_module_or_on_a_capability() {
    let registry = twelve();
    assert_eq!(names(&registry, &with_tags(&["graph"])), ["arangodb", "neo4j"]);
    assert_eq!(names(&registry, &with_tags(&["GRAPH", "write"])), ["arangodb"]);
    assert_eq!(names(&registry, &with_tags(&["query", "database"])), ["arangodb", "neo4j", "postgres"]);
    assert!(names(&registry, &with_tags(&["graph", "pdf"])).is_empty());
    assert!(names(&registry, &with_tags(&["grap"])).is_empty(), "a tag is no beginning of one");
}

#[test]
fn filters_narrow_each_other_and_the_text_ranks_what_is_left() {
    let registry = twelve();
    let query = Query { tags: strings(&["database"]), ..text("cypher queries") };
    assert_eq!(names(&registry, &query)[0], "neo4j");
    assert!(!names(&registry, &query).contains(&"elastic".to_owned()), "it has queries, yet is no database");
    let query = Query { tags: strings(&["database"]), ..text("cypher vertices") };
    assert_eq!(names(&registry, &query), ["neo4j", "arangodb"]);
    let query = Query { tags: strings(&["database"]), ..text("weather") };
    assert!(names(&registry, &query).is_empty());
    let query =
        Query { capability: Some("run".to_owned()), data_type: Some("rows".to_owned()), ..Query::default() };
    assert_eq!(names(&registry, &query), ["postgres"]);
}

#[test]
fn the_last_word_may_be_unfinished_and_only_the_last() {
    let registry = twelve();
    assert_eq!(names(&registry, &text("cyph")), ["neo4j"]);
    assert_eq!(matched(&registry, &text("cyph"), "neo4j"), ["text: cypher"]);
    assert_eq!(names(&registry, &text("database cyph"))[0], "neo4j");
    assert!(
        !matched(&registry, &text("cyph database"), "neo4j").contains(&"text: cypher, database".to_owned())
    );
    assert!(names(&registry, &text("cyph ")).is_empty(), "a finished word is not unfinished");
    assert_eq!(names(&registry, &text("w"))[0], "weather", "one letter is a beginning, too");
}

#[test]
fn a_slip_is_forgiven_where_nobody_has_the_word_as_given() {
    let registry = twelve();
    for slip in ["arangdb", "arrangodb", "arangobd", "erangodb"] {
        assert_eq!(names(&registry, &text(slip))[0], "arangodb", "{slip}");
    }
    assert_eq!(matched(&registry, &text("databse"), "postgres"), ["text: database"]);
    assert!(names(&registry, &text("grph")).is_empty(), "short words are not guessed");
    assert!(names(&registry, &text("aarrangodb")).is_empty(), "two slips are not forgiven");
    // "chart" is a word here, "charm" none: only the latter is taken for a slip.
    assert_eq!(names(&registry, &text("charm ")), names(&registry, &text("chart ")));
}

#[test]
fn case_number_and_spelling_do_not_matter() {
    let registry = twelve();
    for (one, other) in [
        ("GRAPH", "graph"),
        ("queries ", "query "),
        ("class ", "classes "),
        ("send_mail", "send-mail"),
        ("RUN AQL", "run_aql"),
    ] {
        assert_eq!(names(&registry, &text(one)), names(&registry, &text(other)), "{one}");
        assert!(!names(&registry, &text(one)).is_empty(), "{one}");
    }
    assert_eq!(names(&registry, &text("send mail")), ["mailer"], "the parts of sendMail are words");
    assert_eq!(names(&registry, &text("GRÖSSEN größen")), ["übersetzer"]);
}

#[test]
fn without_filters_every_module_comes_by_name() {
    let registry = twelve();
    let all = names(&registry, &Query::default());
    assert_eq!(all, registry.names().collect::<Vec<_>>());
    let blank = Query {
        capability: Some(" ".to_owned()),
        data_type: Some(String::new()),
        tags: strings(&["", " "]),
        text: Some("\n".to_owned()),
    };
    assert_eq!(names(&registry, &blank), all);
}

#[test]
fn a_text_without_words_finds_nothing() {
    assert!(names(&twelve(), &text("?!")).is_empty());
    assert!(names(&Registry::new(), &text("graph")).is_empty());
}

#[test]
fn pages_are_parts_of_the_whole_and_tell_its_size() {
    let registry = twelve();
    for query in [text("database of documents"), with_tags(&["database"]), Query::default()] {
        let whole = registry.discover(&query, 0, 100);
        let mut pages = Vec::new();
        for offset in (0..whole.total + 2).step_by(2) {
            let page = registry.discover(&query, offset, 2);
            assert_eq!(page.total, whole.total);
            pages.extend(page.matches);
        }
        assert_eq!(pages, whole.matches);
        assert_eq!(registry.discover(&query, 0, 0).total, whole.total);
        assert!(registry.discover(&query, usize::MAX, usize::MAX).matches.is_empty());
    }
}

#[test]
fn a_flood_of_words_is_bounded() {
    let registry = twelve();
    let flood: String = (0..50_000).map(|at| format!("w{at}x ")).collect();
    assert!(names(&registry, &text(&flood)).is_empty());
    assert_eq!(names(&registry, &text(&format!("cypher {flood}"))), ["neo4j"]);
}
