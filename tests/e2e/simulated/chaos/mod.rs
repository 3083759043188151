//! Everything at once: crashes, hangs, garbage, slow readers, clients that leave, cancels, kills of the server, full disks,
//! no descriptors, clocks that jump. Whatever happens, the accounts are right at the end and nothing is left.

mod accounts;
mod askers;
mod clock;
mod disk;
mod full_disk;
mod harm;
mod jumps;
mod scarce;
mod slope;
mod storm;

pub(crate) use slope::Slope;
pub(crate) use storm::{configuration, quiet};
