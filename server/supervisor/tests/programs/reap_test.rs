//! This room's test programs.

fn main() {}
