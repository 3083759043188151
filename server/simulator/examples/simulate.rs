//! The simulated CLI as a program of its own, to try scenarios by hand and for
//! the tests of this room: `cargo run --example simulate -- --scenario FILE ...`.
//! In the product it is the hidden subcommand `__simulate`.

fn main() {
    let mut args = std::env::args_os().skip(1).peekable();
    // As the product's own `main` does; the simulated CLI starts its grandchildren this way.
    args.next_if(|arg| arg == "__simulate");
    std::process::exit(claude_comms_simulator::run(args));
}
