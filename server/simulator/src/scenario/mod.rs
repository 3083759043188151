//! Scenario files: how a simulated CLI misbehaves, written as YAML. `format`
//! is the file's shape, `load` its reading and checking, `selection` which rule
//! a process or turn plays. Documented for users in `server/simulator/README.md`.

mod format;
mod load;
mod selection;

pub(crate) use format::{
    ApiRetry, Crash, Fail, Garbage, Grandchild, HugeLine, HugeLineKind, Initialize, Repeat, Scenario, Status,
    Step, ToolCall,
};
pub(crate) use load::load;
pub(crate) use selection::{Asked, Chosen, Selection};

#[cfg(test)]
pub(crate) use load::parse;
