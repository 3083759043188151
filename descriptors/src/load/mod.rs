//! Modules from directories: which files are descriptors, what is wrong with those that should be, and which of two with
//! one name counts. Knows no registry and no watching: whoever watches scans again.

mod scan;
mod scanner;
mod walk;

pub use scan::{Broken, Known, Loaded, Scan, scan};
pub use scanner::Scanner;
