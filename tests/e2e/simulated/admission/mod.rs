//! Who gets an instance, and when: modules that ask take turns, queues are bounded and shared, what waits is told its place.

mod fairness;
mod memory;
mod modules;
mod queue;
mod support;
