//! How a Go template's action is read; who fills templates in and who checks them agree on it.

/// Splits an action at spaces outside of quotes and brackets; `None` if one is not closed.
pub fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut quote, mut depth) = (String::new(), None, 0_u32);
    for letter in text.chars() {
        match (letter, quote) {
            ('"' | '`', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            ('(', None) => depth += 1,
            (')', None) => depth = depth.saturating_sub(1),
            (' ', None) if depth == 0 => {
                words.push(std::mem::take(&mut word));
                continue;
            }
            _ => {}
        }
        word.push(letter);
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    (quote.is_none() && depth == 0).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_brackets_hold_words_together() {
        let split = words("upper  (index .Labels \"a b\") `c (`").unwrap();
        assert_eq!(split, ["upper", "(index .Labels \"a b\")", "`c (`"]);
        assert_eq!(words(""), Some(Vec::new()));
        for open in ["index (a", "\"a", "`"] {
            assert_eq!(words(open), None, "{open}");
        }
    }
}
