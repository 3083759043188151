//! What is to be measured, as the command line says it.

use crate::machine::Placement;

/// The parts of a pass.
const PARTS: [&str; 7] = ["latency", "throughput", "deltas", "real", "starts", "eight", "modules"];

/// The command line.
#[derive(Debug)]
pub(crate) struct Options {
    quick: bool,
    only: Vec<String>,
    placement: Option<Placement>,
}

impl Options {
    /// Reads the arguments; ends the process where they are wrong.
    pub(crate) fn from_arguments() -> Self {
        let mut options = Self { quick: false, only: Vec::new(), placement: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // cargo bench says so.
                "--bench" => {}
                "--quick" => options.quick = true,
                "--only" => match arguments.next() {
                    Some(part) if PARTS.contains(&part.as_str()) => options.only.push(part),
                    other => refuse(&format!("--only wants one of {PARTS:?}, not {other:?}")),
                },
                "--placement" => match arguments.next().as_deref() {
                    Some("free") => options.placement = Some(Placement::Free),
                    Some("pinned") => options.placement = Some(Placement::Pinned),
                    other => refuse(&format!("--placement wants free or pinned, not {other:?}")),
                },
                other => refuse(&format!("unknown argument: {other}")),
            }
        }
        options
    }

    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    pub(crate) fn wants_placement(&self, placement: Placement) -> bool {
        self.placement.is_none_or(|only| only == placement)
    }

    /// So many rounds, or a tenth with `--quick`.
    pub(crate) fn rounds(&self, all: usize) -> usize {
        if self.quick { all.div_ceil(10) } else { all }
    }
}

fn refuse(why: &str) -> ! {
    eprintln!("bench: {why}");
    std::process::exit(2)
}
