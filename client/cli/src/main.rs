//! The `claude-comms` binary: the command line, and with `serve` and `demo` the server. Only this file, `serve`,
//! `config`, `demo` and `doctor`, which checks the place where no server runs, know a server crate.

mod args;
mod commands;
mod complete;
mod config;
mod context;
mod demo;
mod doctor;
mod exit;
mod ids;
mod output;
mod serve;
mod suggest;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // Before anything else, so that neither has threads, a runtime or a log: the two programs that the server starts.
    let mut hidden = std::env::args_os().skip(1);
    match hidden.next() {
        Some(first) if first == "__reap" => claude_comms_supervisor::run_reaper(hidden),
        Some(first) if first == "__simulate" => std::process::exit(claude_comms_simulator::run(hidden)),
        _ => {}
    }
    if complete::answered() {
        return ExitCode::SUCCESS;
    }
    let arguments = args::Arguments::parse();
    suggest::remember(&arguments.global);
    // CLAUDE_COMMS_OUTPUT is the clients'; the server takes no notice of it.
    let server = matches!(arguments.command, args::Command::Serve(_));
    let ui = match output::Ui::new(&arguments.global, server) {
        Ok(ui) => ui,
        Err(failure) => return failure.report(&output::Ui::plain()),
    };
    let ran = match arguments.command {
        args::Command::Serve(serve) => serve::run(serve, &ui),
        args::Command::Config(config) => config::run(config, &ui),
        args::Command::Completions { shell } => complete::script(shell, &ui),
        args::Command::Doctor(doctor) => doctor::run(&arguments.global, doctor, &ui),
        args::Command::Demo(demo) => demo::run(&demo, &ui),
        command => commands::run(&arguments.global, command, &ui),
    };
    match ran {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(&ui),
    }
}
