//! What the server does when processes, the API or a conversation's memory fail: nothing waits for ever, nothing is told
//! twice, and what can be mended is mended without anybody's help.

mod api;
mod backend;
mod memory;
mod watchdog;
