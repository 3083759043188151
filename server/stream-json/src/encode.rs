//! One value to one line. It knows JSON and line ends, not messages.

use memchr::memchr_iter;
use memchr::memmem;
use serde::Serialize;

/// Appends `value` as one line: a `\n` at its end and none inside.
///
/// U+2028 and U+2029 are written as escapes, since line readers of JavaScript may take them for line ends.
///
/// # Panics
/// If `value` is not serializable as JSON, which none of this crate's types is.
pub(crate) fn line<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let start = out.len();
    serde_json::to_writer(&mut *out, value).expect("messages serialize as JSON and a Vec takes every byte");
    one_line(out, start);
    out.push(b'\n');
}

fn one_line(out: &mut Vec<u8>, start: usize) {
    // A line end that survives the serializer is white space of an embedded raw value: in strings it is escaped.
    for byte in [b'\n', b'\r'] {
        let found: Vec<usize> = memchr_iter(byte, &out[start..]).collect();
        for at in found {
            out[start + at] = b' ';
        }
    }
    if memmem::find(&out[start..], b"\xe2\x80\xa8").is_none()
        && memmem::find(&out[start..], b"\xe2\x80\xa9").is_none()
    {
        return;
    }
    let tail = out.split_off(start);
    let mut rest = tail.as_slice();
    while let Some(at) = memmem::find(rest, b"\xe2\x80") {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        match after.get(2) {
            Some(0xa8) => out.extend_from_slice(b"\\u2028"),
            Some(0xa9) => out.extend_from_slice(b"\\u2029"),
            _ => out.extend_from_slice(&after[..after.len().min(3)]),
        }
        rest = &after[after.len().min(3)..];
    }
    out.extend_from_slice(rest);
}
