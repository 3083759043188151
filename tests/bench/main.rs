//! The benchmark: a bare stdio driver of a CLI against the server in front of the same CLI, over a Unix socket and over
//! TCP, in one run; and the module layer with ten thousand modules. It knows the store only to measure one durable commit,
//! in which the aims are stated, and the context crate to measure composing without a server.

mod aims;
mod commit;
mod conversation;
mod eight;
mod latency;
mod machine;
mod modules;
mod options;
mod pass;
mod raw;
mod real;
mod samples;
mod starts;
mod throughput;

use machine::Placement;
use options::Options;

fn main() {
    let options = Options::from_arguments();
    println!("{}", machine::describe());
    println!("load before: {}", machine::load());
    let mut aims = Vec::new();
    for placement in [Placement::Free, Placement::Pinned] {
        if options.wants_placement(placement) {
            // Before the runtime: its threads and every child inherit the cores.
            placement.apply();
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            println!("\n## {placement}");
            aims.extend(runtime.block_on(pass::run(&options, placement)));
        }
    }
    println!("\n## Aims\n");
    println!("| aim | cores | limit | measured | |");
    println!("|---|---|---|---|---|");
    for aim in &aims {
        println!("{aim}");
    }
    println!("\nload after: {}", machine::load());
}
