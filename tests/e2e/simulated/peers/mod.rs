//! Bugs that users of comparable programs reported, staged against ours. Each test names its report; `docs/peers-bugs.md`
//! has them all, also those that tests elsewhere keep out.

mod lines;
mod results;
mod resuming;
mod starts;
mod table;
mod zombies;
