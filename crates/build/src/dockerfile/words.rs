//! The ways the arguments of an instruction are split.

/// Splits at runs of blanks, without regard to quotes.
pub(crate) fn split_blanks(text: &str) -> Vec<String> {
    text.split(is_blank).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The first word and what follows it.
pub(crate) fn split_first(text: &str) -> (&str, &str) {
    match text.find(is_blank) {
        Some(end) => (&text[..end], text[end..].trim_start_matches(is_blank)),
        None => (text, ""),
    }
}

/// Splits at unquoted blanks and keeps quotes and escapes: they are removed
/// together with the expansion of variables. An escape character at the end is
/// dropped, an open quote ends with the line.
pub(crate) fn split_quoted(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        if c == escape && quote != Some('\'') {
            let Some(escaped) = chars.next() else { continue };
            word.push(c);
            word.push(escaped);
            continue;
        }
        word.push(c);
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
    }
    words.extend(word.filter(|word| !word.is_empty()));
    words.retain(|word| !word.is_empty());
    words
}

/// Reads a JSON list of strings. `Ok(None)` if the text is no JSON list, an
/// error if it is one of other things than strings.
pub(crate) fn json_list(text: &str) -> Result<Option<Vec<String>>, String> {
    let text = text.trim_start();
    if !text.starts_with('[') {
        return Ok(None);
    }
    let Ok(list) = serde_json::from_str::<Vec<serde_json::Value>>(text) else {
        return Ok(None);
    };
    list.into_iter()
        .map(|value| match value {
            serde_json::Value::String(text) => Ok(text),
            _ => {
                Err("when using JSON array syntax, arrays must be comprised of strings only"
                    .to_owned())
            }
        })
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{b}' | '\u{c}' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together_and_stay() {
        let words = split_quoted(r#"a="b c" d='e "f' g=h\ i j=\" k="#, '\\');
        assert_eq!(words, [r#"a="b c""#, r#"d='e "f'"#, r"g=h\ i", r#"j=\""#, "k="]);
        assert_eq!(split_quoted("a=\"b c", '\\'), ["a=\"b c"]);
        assert_eq!(split_quoted("a b\\", '\\'), ["a", "b"]);
        assert_eq!(split_quoted("a=b` c d\\ e", '`'), ["a=b` c", "d\\", "e"]);
    }

    #[test]
    fn lists_are_of_strings() {
        assert_eq!(json_list(r#"["a", "b\n"] "#).unwrap().unwrap(), ["a", "b\n"]);
        assert_eq!(json_list("[ -f x ] && y").unwrap(), None);
        assert_eq!(json_list("['a']").unwrap(), None);
        assert!(json_list("[1]").is_err());
    }
}
