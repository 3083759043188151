//! `token` and what belongs to it.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use claude_comms_client::v1;

use super::values::span;
use crate::complete;

/// What is done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token and print its secret, this once
    Create {
        /// A name: a lowercase letter, then lowercase letters, digits, - and _
        #[arg(value_name = "NAME")]
        name: String,
        /// How far it reaches
        #[arg(long, value_name = "SCOPE")]
        scope: Scope,
        /// How long it is good, as in 12h, 30d or 1y [default: until it is revoked]
        #[arg(long, value_name = "DURATION", value_parser = span)]
        expires: Option<Duration>,
    },
    /// List tokens, those that have ended too
    List,
    /// End a token at once, the streams that it has open too
    Revoke {
        /// Its name
        #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::tokens))]
        name: String,
    },
}

/// How far a token reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// Seeing what there is
    Read,
    /// Asking Claude too
    Query,
    /// Everything
    Admin,
}

impl From<Scope> for v1::TokenScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::Query => Self::Query,
            Scope::Admin => Self::Admin,
        }
    }
}
