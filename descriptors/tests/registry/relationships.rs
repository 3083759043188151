//! Relationships seen from both sides, and what is wrong with them.

use claude_comms_descriptors::RelationshipKind::{self, Consumes, DependsOn, Peer, Produces};
use claude_comms_descriptors::registry::{DeclaredBy, Origin, Registry, RelationKind, Resolved};

use crate::{entry, module, registry, related};

/// `other kind by`, for reading.
fn lines(resolved: &[Resolved]) -> Vec<String> {
    resolved
        .iter()
        .map(|line| {
            let known = if line.known { "" } else { " (unknown)" };
            format!("{} {} {:?}{known}", line.module, line.kind, line.declared_by)
        })
        .collect()
}

fn pair(a: &[RelationshipKind], b: &[RelationshipKind]) -> Registry {
    let a: Vec<_> = a.iter().map(|kind| ("b", *kind)).collect();
    let b: Vec<_> = b.iter().map(|kind| ("a", *kind)).collect();
    registry([related("a", &a), related("b", &b)])
}

#[test]
fn what_one_side_declares_the_other_side_sees_the_other_way_round() {
    for (declared, seen) in
        [(Consumes, "produces"), (Produces, "consumes"), (DependsOn, "required_by"), (Peer, "peer")]
    {
        let registry = registry([related("arangodb", &[("marker", declared)]), module("marker")]);
        assert_eq!(lines(&registry.relationships("marker")), [format!("arangodb {seen} Other")]);
        assert_eq!(
            lines(&registry.relationships("arangodb")),
            [format!("marker {} This", declared.as_str())]
        );
        assert_eq!(registry.between("marker", "arangodb"), registry.relationships("marker"));
        assert_eq!(registry.between("arangodb", "marker"), registry.relationships("arangodb"));
    }
}

#[test]
fn sides_that_agree_are_one_line_with_both_descriptions() {
    let registry = pair(&[Consumes], &[Produces]);
    let resolved = registry.relationships("a");
    assert_eq!(lines(&resolved), ["b consumes Both"]);
    assert_eq!(
        (resolved[0].descriptions.this.as_str(), resolved[0].descriptions.other.as_str()),
        ("a to b", "b to a")
    );
    assert_eq!(lines(&registry.relationships("b")), ["a produces Both"]);
    assert!(registry.relationship_warnings("a").is_empty());
    assert!(registry.relationship_warnings("b").is_empty());
}

#[test]
fn an_exchange_in_both_directions_is_no_contradiction() {
    let registry = pair(&[Consumes, Produces], &[Consumes, Produces]);
    assert_eq!(lines(&registry.relationships("a")), ["b consumes Both", "b produces Both"]);
    assert!(registry.relationship_warnings("a").is_empty());
}

#[test]
fn sides_that_contradict_each_other_are_two_lines_and_a_warning_on_both() {
    let registry = pair(&[Consumes], &[Consumes]);
    assert_eq!(lines(&registry.relationships("a")), ["b consumes This", "b produces Other"]);
    assert_eq!(lines(&registry.relationships("b")), ["a consumes This", "a produces Other"]);
    assert_eq!(
        registry.relationship_warnings("a"),
        ["relationships[0]: a and b contradict each other: both declare kind consumes"]
    );
    assert_eq!(
        registry.relationship_warnings("b"),
        ["relationships[0]: b and a contradict each other: both declare kind consumes"]
    );
    let circle = pair(&[DependsOn], &[DependsOn]);
    assert_eq!(lines(&circle.relationships("a")), ["b depends_on This", "b required_by Other"]);
    assert_eq!(
        circle.relationship_warnings("a"),
        ["relationships[0]: a and b contradict each other: both declare kind depends_on"]
    );
}

#[test]
fn a_side_that_is_missing_is_warned_of_where_it_could_be_declared() {
    let registry = registry([
        related("arangodb", &[("marker", Consumes), ("store", DependsOn), ("twin", Peer)]),
        module("marker"),
        module("store"),
        module("twin"),
    ]);
    assert_eq!(
        registry.relationship_warnings("arangodb"),
        [
            "marker does not declare its side: kind produces, module arangodb",
            "twin does not declare its side: kind peer, module arangodb",
        ]
    );
    assert!(registry.relationship_warnings("marker").is_empty());
    assert!(registry.relationship_warnings("nobody").is_empty());
}

#[test]
fn a_module_that_is_not_known_is_warned_of_with_a_near_name_and_still_a_line() {
    let registry = registry([related("arangodb", &[("markr", Consumes), ("zzzz", Peer)]), module("marker")]);
    assert_eq!(
        lines(&registry.relationships("arangodb")),
        ["markr consumes This (unknown)", "zzzz peer This (unknown)"]
    );
    assert_eq!(
        registry.relationship_warnings("arangodb"),
        [
            "relationships[0]: module markr is not registered; did you mean marker?",
            "relationships[1]: module zzzz is not registered",
        ]
    );
    assert_eq!(
        lines(&registry.relationships("markr")),
        ["arangodb produces Other"],
        "seen from the unknown one"
    );
}

#[test]
fn a_relationship_to_itself_is_a_warning_and_no_line() {
    let registry = registry([related("a", &[("a", Peer)])]);
    assert!(registry.relationships("a").is_empty());
    assert!(registry.between("a", "a").is_empty());
    assert_eq!(registry.relationship_warnings("a"), ["relationships[0]: module a is this module itself"]);
}

#[test]
fn own_lines_come_in_their_order_and_those_of_others_by_name() {
    let registry = registry([
        related("hub", &[("zoo", Peer), ("bar", Consumes)]),
        related("zoo", &[("hub", Peer)]),
        module("bar"),
        related("yak", &[("hub", DependsOn)]),
        related("ape", &[("hub", Consumes), ("bar", Peer)]),
    ]);
    assert_eq!(
        lines(&registry.relationships("hub")),
        ["zoo peer Both", "bar consumes This", "ape produces Other", "yak required_by Other"]
    );
}

#[test]
fn only_what_counts_declares_and_uncovering_declares_again() {
    let mut registry = registry([module("marker"), related("arangodb", &[("marker", Consumes)])]);
    registry.put(entry(related("arangodb", &[("marker", Peer)]), Origin::BuiltIn));
    assert_eq!(lines(&registry.relationships("marker")), ["arangodb produces Other"]);
    registry.remove("arangodb", Origin::Registered);
    assert_eq!(lines(&registry.relationships("marker")), ["arangodb peer Other"]);
    registry.remove("arangodb", Origin::BuiltIn);
    assert!(registry.relationships("marker").is_empty());
}

#[test]
fn a_descriptor_is_judged_before_it_is_registered() {
    let registry = registry([related("marker", &[("arangodb", Produces)])]);
    let new = related("arangodb", &[("marker", Consumes), ("markr", Peer)]);
    assert_eq!(
        lines(&registry.relationships_of(&new)),
        ["marker consumes Both", "markr peer This (unknown)"]
    );
    assert_eq!(
        registry.relationship_warnings_of(&new),
        ["relationships[1]: module markr is not registered; did you mean marker?"]
    );
}

#[test]
fn a_resolved_relationship_survives_json() {
    let resolved = pair(&[DependsOn], &[]).relationships("b");
    let json = serde_json::to_value(&resolved).unwrap();
    assert_eq!(json[0]["kind"], "required_by");
    assert_eq!(json[0]["declared_by"], "other");
    assert_eq!(serde_json::from_value::<Vec<Resolved>>(json).unwrap(), resolved);
    assert_eq!((resolved[0].kind, resolved[0].declared_by), (RelationKind::RequiredBy, DeclaredBy::Other));
}
