//! Where a turn waits, and for what.

/// What a turn waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// A turn of its own conversation that is before it.
    Conversation,
    /// An instance: its own to be ready, or a slot for one.
    Instance,
    /// Another instance of its module to end: there are as many as there may be.
    ModuleLimit,
    /// Memory for a process.
    Memory,
    /// The backend: no process is started for now, because too many were lost.
    Backend,
}

impl WaitsFor {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Instance => "instance",
            Self::ModuleLimit => "module_limit",
            Self::Memory => "memory",
            Self::Backend => "backend",
        }
    }
}

/// A turn's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Turns of its conversation before it.
    pub position: u32,
    /// Turns of other conversations that get an instance before it does, as far as that can be told.
    pub ahead: u32,
    /// What it waits for.
    pub waits_for: WaitsFor,
}
