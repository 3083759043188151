//! Lists that come in pages.

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Opaque token of the next page; `None` when this is the last.
    pub next: Option<String>,
}
