//! What an operator does to instances and turns: pause, resume, interrupt, drain.

mod calls;
mod ctrl_c;
mod drain;
mod interrupt;
mod pause;
mod support;
mod wrong_states;
