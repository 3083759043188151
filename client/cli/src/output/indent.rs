//! JSON text indented, character for character: a number beyond 2^53 and the order of keys stay as they were written.

/// The text, one value a line. It must be JSON; of other text nothing is lost but white space.
pub(crate) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut rest = json.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                out.push(c);
                let mut escaped = false;
                for c in rest.by_ref() {
                    out.push(c);
                    if c == '"' && !escaped {
                        break;
                    }
                    escaped = c == '\\' && !escaped;
                }
            }
            '{' | '[' => {
                out.push(c);
                while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                if let Some(close) = rest.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_and_no_order_changes() {
        let text = r#" {"z":12345678901234567890.10, "a" : [ ] ,"b":[1,{ }], "s":"a\\\": {[,"} "#;
        let wanted = "{\n  \"z\": 12345678901234567890.10,\n  \"a\": [],\n  \"b\": [\n    1,\n    {}\n  ],\n  \
            \"s\": \"a\\\\\\\": {[,\"\n}";
        assert_eq!(indented(text), wanted);
        assert_eq!(indented(wanted), wanted, "twice is once");
        assert_eq!(indented(" null\n"), "null");
    }

    #[test]
    fn it_is_what_serde_prints() {
        let value = serde_json::json!({"a": [1, [], {"b": "x\"y\\"}], "c": null, "d": {"e": true}});
        assert_eq!(indented(&value.to_string()), serde_json::to_string_pretty(&value).expect("json"));
    }
}
