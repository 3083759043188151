//! What can be cut of a system prompt, in which order, and how a cut is told to the caller.

use claude_comms_descriptors::DataType;

use crate::capabilities::{Detail, Shown};
use crate::glossary::Word;
use crate::report::{Omitted, TOKEN_BUDGET};
use crate::scene::Scene;
use crate::shared::{self, Shared};
use crate::tokens::estimate_tokens;

/// One cut. The numbers are places in the descriptor, the glossary, the shared types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A capability is shown in less detail, or not at all.
    Capability(usize, Detail),
    /// What the source can do, takes and gives.
    SourceLists,
    /// A type of both is shown in less detail, or not at all.
    SharedType(usize, shared::Detail),
    /// A word.
    Word(usize),
    /// What the target takes and gives.
    TargetTypes,
}

impl Cut {
    /// The section that it is made in.
    pub(crate) fn section(&self) -> &'static str {
        match self {
            Self::Capability(..) => "capabilities",
            Self::SourceLists => "source",
            Self::SharedType(..) => "shared_data_types",
            Self::Word(_) => "glossary",
            Self::TargetTypes => "target",
        }
    }

    /// Whether it leaves nothing of what the other one took a part of.
    pub(crate) fn takes_all_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Capability(whole, Detail::Gone), Self::Capability(part, _)) => whole == part,
            (Self::SharedType(whole, shared::Detail::Gone), Self::SharedType(part, _)) => whole == part,
            _ => false,
        }
    }
}

/// Every cut in its order: examples; schemas' descriptions, then their depths; the source's own lists; capabilities;
/// shared types' schemas; words that the question does not have; and, where even that is too much, the target's list
/// of types, shared types, the other words. Of capabilities the least relevant come first; the one that the question
/// names stays, if flat.
pub(super) fn in_order(
    scene: &Scene,
    capabilities: &[Shown],
    least_relevant_first: &[usize],
    named: Option<usize>,
    shared: &[Shared<'_>],
    (unasked, asked): (Vec<usize>, Vec<usize>),
) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let losing = |detail: Detail| {
        let stays = move |at: &usize| detail != Detail::Gone || Some(*at) != named;
        let order = least_relevant_first.iter().copied().filter(stays);
        order.filter(move |at| capabilities[*at].can_lose(detail)).map(move |at| Cut::Capability(at, detail))
    };
    for detail in [Detail::NoExample, Detail::NoDescriptions, Detail::Flat] {
        cuts.extend(losing(detail));
    }
    let source = scene.source.as_ref().map(|party| &party.descriptor);
    cuts.extend(
        source
            .filter(|source| !source.capabilities.is_empty() || !source.data_types.is_empty())
            .map(|_| Cut::SourceLists),
    );
    cuts.extend(losing(Detail::Gone));
    let shared_types = |detail| (0..shared.len()).rev().map(move |at| Cut::SharedType(at, detail));
    cuts.extend(shared_types(shared::Detail::NoSchema).filter(|cut| match cut {
        Cut::SharedType(at, _) => shared[*at].has_schema(),
        _ => true,
    }));
    cuts.extend(unasked.into_iter().map(Cut::Word));
    let target = scene.target.as_ref().filter(|party| !party.descriptor.data_types.is_empty());
    cuts.extend(target.map(|_| Cut::TargetTypes));
    cuts.extend(shared_types(shared::Detail::Gone));
    cuts.extend(asked.into_iter().map(Cut::Word));
    cuts
}

/// What a cut takes, for the report.
pub(super) fn omitted(
    scene: &Scene,
    capabilities: &[Shown],
    words: &[Word],
    shared: &[Shared<'_>],
    cut: &Cut,
) -> Omitted {
    let (what, tokens) = match cut {
        Cut::Capability(at, detail) => {
            let described = scene.target.as_ref().and_then(|target| target.descriptor.capabilities.get(*at));
            let tokens = described.map_or(0, |capability| capabilities[*at].saving(capability, *detail));
            (of_capability(&capabilities[*at].name, *detail), tokens)
        }
        Cut::SourceLists => {
            let tokens = scene.source.as_ref().map_or(0, |source| {
                let capabilities = source.descriptor.capabilities.iter();
                let types = source.descriptor.data_types.iter();
                capabilities.map(|it| line_tokens(&it.name, &it.description)).sum::<u32>()
                    + types.map(type_tokens).sum::<u32>()
                    + 14
            });
            ("capabilities and data types of the asker".to_owned(), tokens)
        }
        Cut::SharedType(at, shared::Detail::Gone) => {
            (format!("shared data type {}", shared[*at].label), shared[*at].tokens(false))
        }
        Cut::SharedType(at, _) => {
            (format!("schemas of shared data type {}", shared[*at].label), shared[*at].tokens(true))
        }
        Cut::Word(at) => (format!("word {}", words[*at].term), words[*at].tokens),
        Cut::TargetTypes => {
            let types = scene.target.as_ref().map_or(&[][..], |target| &target.descriptor.data_types);
            let tokens = types.iter().map(type_tokens).sum();
            ("data types of the target".to_owned(), tokens)
        }
    };
    Omitted { section: cut.section().to_owned(), what, why: TOKEN_BUDGET.to_owned(), tokens }
}

fn of_capability(name: &str, detail: Detail) -> String {
    match detail {
        Detail::Whole | Detail::Gone => format!("capability {name}"),
        Detail::NoExample => format!("example of capability {name}"),
        Detail::NoDescriptions => format!("descriptions in the schemas of capability {name}"),
        Detail::Flat => format!("depths of the schemas of capability {name}"),
    }
}

fn type_tokens(it: &DataType) -> u32 {
    line_tokens(&it.name, &it.description) + estimate_tokens(&it.media_type) + 2
}

fn line_tokens(name: &str, description: &str) -> u32 {
    estimate_tokens(name) + estimate_tokens(description) + 4
}
