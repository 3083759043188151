//! Typed ids. All are UUIDs; those made by the server are version 7, so that they sort by time.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "uuid::serde::simple")] pub Uuid);

        impl $name {
            /// The id as 16 bytes, big endian: sorts as the UUID does.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// A durable conversation.
    ConversationId
);
id!(
    /// One prompt up to its terminal record; also the ID of a background job.
    TurnId
);
id!(
    /// A Claude session under a stable id.
    InstanceId
);
id!(
    /// A server's data directory; stays over restarts.
    ServerId
);
id!(
    /// What makes a request safe to repeat; chosen by the client.
    RequestId
);

/// The shortest fragment that may stand for an id, in characters.
pub const SHORTEST_FRAGMENT: usize = 4;

/// Part of an id that a person typed: its beginning or its end, in lower case, without regard to hyphens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMatch(String);

impl IdMatch {
    /// Takes what was typed. `None` when it is shorter than [`SHORTEST_FRAGMENT`] or cannot be part of a UUID.
    pub fn new(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
        let fits = (SHORTEST_FRAGMENT..=32).contains(&digits.len());
        (fits && digits.bytes().all(|b| b.is_ascii_hexdigit())).then_some(Self(digits))
    }

    /// Whether the id begins or ends with the fragment.
    pub fn matches(&self, id: Uuid) -> bool {
        let mut buffer = Uuid::encode_buffer();
        let text: &str = id.simple().encode_lower(&mut buffer);
        text.starts_with(&self.0) || text.ends_with(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_matches_the_beginning_or_the_end_only() {
        let id = Uuid::parse_str("0192f0c1-2b3c-7d4e-8f50-a1b2c3d4e5f6").unwrap();
        for (text, fits) in
            [("0192", true), ("0192F0C1-2b", true), ("e5f6", true), ("c3d4-e5f6", true), ("2b3c", false)]
        {
            assert_eq!(IdMatch::new(text).unwrap().matches(id), fits, "{text}");
        }
        for text in ["", "012", "xyzw", "0192f0c12b3c7d4e8f50a1b2c3d4e5f60"] {
            assert_eq!(IdMatch::new(text), None, "{text}");
        }
    }
}
