//! Who watches a conversation is told every durable event of all its turns once, in order, and the text in its place.

mod command_line;
mod many;
mod places;
mod reconnects;
