//! The part of a pass that is about modules: its order, its tables, its aims.

use claude_comms_tests::TestServer;

use super::{
    calls, compose,
    library::{self, IN_DIRECTORY, Library, QUIET, REGISTERED, mebibytes},
    made, turns,
};
use crate::{
    aims::{self, Aim},
    conversation::Connection,
    machine::{self, Placement},
    options::Options,
    samples::{Samples, Turns},
};

/// Pairs of modules that are previewed in turn.
const PAIRS: usize = 64;
/// A prompt as large as a long document.
const MILLION: usize = 1_000_000;

/// Measures, prints, and returns the aims.
pub(crate) async fn run(options: &Options, placement: Placement) -> Vec<Aim> {
    println!("load at the start of this part: {}\n", machine::load());
    let mut memory = Vec::new();
    let starts = options.rounds(3);
    let mut bare = library::without().await;
    memory.push(("built-in modules alone".to_owned(), mebibytes(&bare)));
    let bare_starts = library::starts(&mut bare, starts).await;
    drop(bare);

    let mut library = Library::open(made::modules(IN_DIRECTORY + REGISTERED)).await;
    memory.push((format!("{IN_DIRECTORY} modules of a directory"), mebibytes(&library.server)));
    let mut connection = Connection::open(library.server.unix(), None).await;
    let registered = library.register(&mut connection).await;
    memory.push((format!("and {REGISTERED} registered ones"), mebibytes(&library.server)));
    drop(connection);
    let full_starts = library::starts(&mut library.server, starts).await;
    memory.push(("started again with all of them".to_owned(), mebibytes(&library.server)));
    let mut connection = Connection::open(library.server.unix(), None).await;
    let reloads = library.reloads(&mut connection, options.rounds(20)).await;
    memory.push(("after files that changed".to_owned(), mebibytes(&library.server)));

    let files = library.bytes as f64 / f64::from(1 << 20);
    println!(
        "| ms, p50 (p99) | {IN_DIRECTORY} modules ({files:.1} MiB of files) + {REGISTERED} | built-in alone |"
    );
    println!("|---|---|---|");
    println!("| start to readiness | {full_starts} | {bare_starts} |");
    println!("| first start | {:.0} | |", library.first_start.as_secs_f64() * 1e3);
    println!("| one file changed, {} ms of quiet included | {reloads} | |", QUIET.as_millis());
    println!("| RegisterModule | {registered} | |");

    let aims = reads(options, placement, &mut connection, &library).await;
    memory.push(("after the calls that read".to_owned(), mebibytes(&library.server)));
    asked(options, &mut connection, &library.server).await;
    memory.push(("after the turns".to_owned(), mebibytes(&library.server)));
    println!("\nmemory of the server (RSS, MiB):");
    for (when, mebibytes) in memory {
        println!("- {when}: {mebibytes:.1}");
    }
    aims
}

/// Calls that change nothing, over the Unix socket.
async fn reads(
    options: &Options,
    placement: Placement,
    connection: &mut Connection,
    library: &Library,
) -> Vec<Aim> {
    let (modules, count) = (&library.modules, options.rounds(1000));
    calls::discover(connection, modules, count / 10, 0).await;
    let page = calls::discover(connection, modules, count, 0).await;
    let short = calls::discover(connection, modules, count, 20).await;
    let list = calls::list(connection, count).await;
    let get = calls::get(connection, modules, count).await;
    let mut pings = Samples::default();
    for _ in 0..count {
        pings.push(connection.ping().await);
    }
    println!("\n| call over the Unix socket | ms, p50 (p99) |");
    println!("|---|---|");
    println!("| shortest RPC | {pings} |");
    println!("| DiscoverModules, {count} mixed, pages of 100 | {} |", page.times);
    println!("| DiscoverModules, the same, pages of 20 | {} |", short.times);
    println!("| ListModules, a page of 100 | {list} |");
    println!("| GetModule | {get} |");

    let standard = [["marker", "arangodb"]];
    calls::preview(connection, &standard, 10).await;
    let pair = calls::preview(connection, &standard, count).await;
    let names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let step = names.len() / (2 * PAIRS);
    let pairs: Vec<[&str; 2]> =
        (0..PAIRS).map(|pair| [names[2 * pair * step], names[(2 * pair + 1) * step]]).collect();
    let first = calls::preview(connection, &pairs, 1).await;
    let again = calls::preview(connection, &pairs, count.div_ceil(PAIRS)).await;
    println!("| PreviewContext, Marker asks ArangoDB, warm | {pair} |");
    println!("| PreviewContext, {PAIRS} pairs, first time each | {first} |");
    println!("| PreviewContext, {PAIRS} pairs, warm | {again} |");
    println!(
        "\n{} of {count} questions found something, {:.0} modules a page",
        page.answered,
        page.modules as f64 / count as f64
    );

    let composed = compose::measure(count);
    println!("\n| composing in process, Marker asks ArangoDB | ms, p50 (p99) |");
    println!("|---|---|");
    println!("| system prompt + message, warm | {} |", composed.warm);
    println!("| message alone, as a later turn needs it | {} |", composed.message);
    println!("| scene compiled + both | {} |", composed.cold);
    println!("| message with 1 MB of prompt | {} |", composed.million);
    vec![
        aims::discover(placement, "pages of 100", &page.times),
        aims::discover(placement, "pages of 20", &short.times),
        aims::context(placement, "in process", &composed.warm),
        aims::context(placement, "PreviewContext over Unix", &pair),
    ]
}

/// Turns of a simulated CLI, over the Unix socket.
async fn asked(options: &Options, connection: &mut Connection, server: &TestServer) {
    let warm = turns::warm(connection, compose::QUESTION, options.rounds(50), options.rounds(1000)).await;
    let large =
        turns::warm(connection, &"0123456789abcde\n".repeat(MILLION / 16), 1, options.rounds(30)).await;
    let fresh = turns::fresh(connection, options.rounds(100)).await;
    println!("\n| ms, p50 (p99) | first token | full turn | added to the full turn |");
    println!("|---|---|---|---|");
    let row = |what: &str, turns: &Turns, plain: &Turns| {
        let added = turns.whole.p50() - plain.whole.p50();
        println!("| {what} | {} | {} | {added:+.3} |", turns.first_token, turns.whole);
    };
    row("SendMessage", &warm.plain, &warm.plain);
    row("QueryModule", &warm.module, &warm.plain);
    row("QueryModule, data by a schema", &warm.data, &warm.plain);
    row("SendMessage, 1 MB", &large.plain, &large.plain);
    row("QueryModule, 1 MB", &large.module, &large.plain);
    row("CreateConversation + SendMessage, new process", &fresh.plain, &fresh.plain);
    row("QueryModule, new conversation and process", &fresh.module, &fresh.plain);
    println!("\nprocesses of the server at the end: {}", server.processes().claudes().len());
}
