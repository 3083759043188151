//! Pages of lists that do not come from the store.

/// A page of items that are sorted by a unique text: those after `token`.
pub(super) fn page<T>(
    items: Vec<T>,
    token: &str,
    size: usize,
    key: impl Fn(&T) -> String,
) -> (Vec<T>, String) {
    let after = |item: &T| token.is_empty() || key(item).as_str() > token;
    let mut rest: Vec<T> = items.into_iter().filter(after).collect();
    let next = if rest.len() > size { key(&rest[size - 1]) } else { String::new() };
    rest.truncate(size);
    (rest, next)
}
