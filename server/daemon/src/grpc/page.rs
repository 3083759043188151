//! Page tokens of lists that do not come from the store.

/// A page of items that are sorted by a unique text: those after `token`.
pub(super) fn page<T>(
    items: Vec<T>,
    token: &str,
    size: usize,
    key: impl Fn(&T) -> String,
) -> (Vec<T>, String) {
    let mut rest: Vec<T> =
        items.into_iter().filter(|item| token.is_empty() || key(item).as_str() > token).collect();
    let next = if rest.len() > size { key(&rest[size - 1]) } else { String::new() };
    rest.truncate(size);
    (rest, next)
}
