//! The module layer under load: ten thousand modules that are found, shown and asked. `made` makes them up, `library` keeps
//! them in a server, `calls`, `compose` and `turns` measure, `part` says in which order. It knows no other part.

mod calls;
mod compose;
mod library;
mod made;
mod part;
mod turns;

pub(crate) use part::run;
