//! Calls that only read: finding, listing and showing modules, previewing contexts.

use std::time::Instant;

use claude_comms_descriptors::Descriptor;
use claude_comms_proto::v1::{
    DiscoverModulesRequest, GetModuleRequest, ListModulesRequest, PreviewContextRequest,
};

use super::{
    compose::QUESTION,
    made::{Numbers, question},
};
use crate::{conversation::Connection, samples::Samples};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) times: Samples,
    /// How many questions found something.
    pub(super) answered: usize,
    /// Modules of all answers.
    pub(super) modules: usize,
}

/// DiscoverModules: a mix of so many questions, answered with pages of this size (0: the default, 100).
pub(super) async fn discover(
    connection: &mut Connection,
    modules: &[Descriptor],
    count: usize,
    page_size: i32,
) -> Found {
    let mut numbers = Numbers(11);
    let mut found = Found::default();
    for at in 0..count {
        let some = &modules[numbers.below(modules.len())];
        let request = DiscoverModulesRequest { page_size, ..question(&mut numbers, at, some) };
        let begin = Instant::now();
        let answer = connection.modules.discover_modules(request).await.expect("an answer").into_inner();
        found.times.push(begin.elapsed());
        found.answered += usize::from(answer.total > 0);
        found.modules += answer.modules.len();
    }
    found
}

/// ListModules, page by page (of the default size), round and round.
pub(super) async fn list(connection: &mut Connection, count: usize) -> Samples {
    let mut times = Samples::default();
    let mut page_token = String::new();
    for _ in 0..count {
        let request = ListModulesRequest { page_token, ..ListModulesRequest::default() };
        let begin = Instant::now();
        let page = connection.modules.list_modules(request).await.expect("a page").into_inner();
        times.push(begin.elapsed());
        assert!(!page.modules.is_empty(), "a page holds modules");
        page_token = page.next_page_token;
    }
    times
}

/// GetModule of one module after the other.
pub(super) async fn get(connection: &mut Connection, modules: &[Descriptor], count: usize) -> Samples {
    let mut numbers = Numbers(13);
    let mut times = Samples::default();
    for _ in 0..count {
        let name = modules[numbers.below(modules.len())].name.clone();
        let begin = Instant::now();
        let request = GetModuleRequest { name, ..GetModuleRequest::default() };
        connection.modules.get_module(request).await.expect("it is known");
        times.push(begin.elapsed());
    }
    times
}

/// PreviewContext of these pairs, one after the other, so many times each.
pub(super) async fn preview(connection: &mut Connection, pairs: &[[&str; 2]], rounds: usize) -> Samples {
    let mut times = Samples::default();
    for _ in 0..rounds {
        for [source, target] in pairs {
            let request = PreviewContextRequest {
                source: (*source).to_owned(),
                target: (*target).to_owned(),
                prompt: QUESTION.to_owned(),
                ..PreviewContextRequest::default()
            };
            let begin = Instant::now();
            let preview = connection.modules.preview_context(request).await.expect("a preview").into_inner();
            times.push(begin.elapsed());
            assert!(preview.system_prompt.contains("<protocol>"), "a preview holds a system prompt");
        }
    }
    times
}
