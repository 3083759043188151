//! Shell completion. The scripts ask this program for the words that fit; IDs, names and modules among them come from the
//! live server. Where there is none, or it takes long, there are none, and nothing is said: a shell waits for the answer.

mod ask;
mod bash;
mod line;
mod script;
mod values;

pub(crate) use script::{answered, script};
pub(crate) use values::{
    conversations, instances, modules, open_turns, registered_modules, tokens, turn_states, turns,
};
