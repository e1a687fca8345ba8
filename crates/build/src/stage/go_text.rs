//! Go's `%q`, in which the histories of all images are written.

/// A string in quotes.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list of strings: `["a" "b"]`.
pub(super) fn quote_list(list: &[String]) -> String {
    let quoted: Vec<String> = list.iter().map(|text| quote(text)).collect();
    format!("[{}]", quoted.join(" "))
}

/// A number as the character it is the code of: `'\x03'`.
pub(super) fn quote_number(number: i64) -> String {
    match u32::try_from(number).ok().and_then(char::from_u32) {
        Some('\'') => "'\\''".to_owned(),
        Some(c) => {
            let inner = quote(c.encode_utf8(&mut [0; 4]));
            let inner = inner.trim_start_matches('"').trim_end_matches('"');
            format!("'{}'", if c == '"' { "\"" } else { inner })
        }
        None => "'\u{fffd}'".to_owned(),
    }
}
