//! Tests of the splitter.

use super::*;

fn lines(splitter: &mut LineSplitter) -> Vec<Result<Vec<u8>, LineTooLong>> {
    let mut found = Vec::new();
    while let Some(line) = splitter.next_line() {
        found.push(line.map(<[u8]>::to_vec));
    }
    found
}

#[test]
fn a_line_is_given_once_it_is_complete() {
    let mut splitter = LineSplitter::default();
    splitter.extend(b"{\"a\":");
    assert_eq!(lines(&mut splitter), []);
    splitter.extend(b"1}\n\n{\"b\"");
    assert_eq!(lines(&mut splitter), [Ok(b"{\"a\":1}".to_vec()), Ok(Vec::new())]);
    assert_eq!(splitter.remainder(), b"{\"b\"");
}

#[test]
fn a_line_over_the_limit_is_one_error_that_names_it_and_the_next_line_is_read() {
    for chunk in [1, 3, 100] {
        let mut splitter = LineSplitter::new(4);
        let mut found = Vec::new();
        for bytes in b"1234\n12345678\n12\n12345\n\n".chunks(chunk) {
            splitter.extend(bytes);
            found.extend(lines(&mut splitter));
        }
        let error = Err(LineTooLong { limit_bytes: 4 });
        let expected = [Ok(b"1234".to_vec()), error.clone(), Ok(b"12".to_vec()), error, Ok(Vec::new())];
        assert_eq!(found, expected, "in chunks of {chunk}");
    }
    assert_eq!(LineTooLong { limit_bytes: 4 }.to_string(), "line is longer than the limit of 4 bytes");
}

#[test]
fn an_endless_line_does_not_fill_the_memory() {
    let mut splitter = LineSplitter::new(100);
    for _ in 0..1000 {
        splitter.extend(&[b'x'; 1000]);
        lines(&mut splitter);
        assert!(splitter.buffer.len() <= 2 * SPACE_BYTES);
    }
}

#[test]
fn a_large_line_is_whole_and_its_buffer_is_given_back() {
    let mut splitter = LineSplitter::default();
    let mut line = vec![b'x'; 3 * KEPT_BYTES];
    line.push(b'\n');
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        let space = splitter.space();
        let count = rest.len().min(space.len());
        space[..count].copy_from_slice(&rest[..count]);
        splitter.advance(count);
        rest = &rest[count..];
        if !rest.is_empty() {
            assert_eq!(splitter.next_line(), None);
        }
    }
    assert_eq!(splitter.next_line(), Some(Ok(&line[..line.len() - 1])));
    splitter.space();
    assert!(splitter.buffer.len() < KEPT_BYTES);
}

#[test]
fn small_lines_do_not_grow_the_buffer() {
    let mut splitter = LineSplitter::default();
    for _ in 0..10_000 {
        splitter.extend(b"{\"type\":\"x\"}\n{\"half\":");
        assert!(splitter.next_line().is_some());
        splitter.extend(b"1}\n");
        assert!(splitter.next_line().is_some());
    }
    assert!(splitter.buffer.len() <= 2 * SPACE_BYTES);
}

#[test]
fn only_objects_can_be_messages() {
    assert!(is_message(b"{}") && is_message(b"  {"));
    assert!(!is_message(b"") && !is_message(b"warning: x") && !is_message(b"[1]"));
}
