//! Who may call, and how far: over a Unix socket the user who started the server, over TCP whoever has a token, within the
//! token's scope. Health is open. Knows RPCs by their paths alone, not what they do.
//!
//! [`Tokens`] holds them all in memory, so that no call waits for the store; [`scope`] says what each RPC needs;
//! [`Refusals`] counts and logs who was sent away.

mod ending;
mod file;
mod layer;
mod refusals;
pub mod scope;
mod tokens;

pub(crate) use self::tokens::{Creation, Made};
pub use self::{
    file::{TokenFileError, load},
    layer::{AuthLayer, Gate, Rule},
    refusals::{Refusal, Refusals},
    tokens::{DEFAULT, Tokens},
};
