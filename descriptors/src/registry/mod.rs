//! The registry: which module of a name counts, how modules stand to each other, how they are found. In memory; the
//! store keeps what was registered.
