//! Finding the here-documents a line opens.

use super::command::Heredoc;

/// The here-documents opened by the words of a line, without their contents.
///
/// A line with an unfinished quote opens none; the shell will complain.
pub(crate) fn opened_by(line: &str, escape: char) -> Vec<Heredoc> {
    let Some(words) = raw_words(line, escape) else {
        return Vec::new();
    };
    words.iter().filter_map(|word| parse(word)).collect()
}

/// Reads `[fd]<<[-]WORD`, where any part of WORD may be quoted.
pub(crate) fn parse(word: &str) -> Option<Heredoc> {
    let digits = word.find(|c: char| !c.is_ascii_digit())?;
    let rest = word[digits..].strip_prefix("<<")?;
    let (strip_tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if rest.contains('<') {
        return None;
    }
    let name = unquote(rest)?;
    if name.is_empty() {
        return None;
    }
    let descriptor = if digits == 0 { 0 } else { word[..digits].parse().ok()? };
    let expand = name == rest;
    Some(Heredoc { name, expand, strip_tabs, descriptor, content: String::new() })
}

/// Removes quotes and escapes from one word; `None` if a quote stays open or
/// it is more than one word.
fn unquote(word: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => loop {
                match chars.next()? {
                    end if end == c => break,
                    inner => out.push(inner),
                }
            },
            '\\' => out.extend(chars.next()),
            blank if blank.is_whitespace() => return None,
            other => out.push(other),
        }
    }
    Some(out)
}

/// Splits at unquoted blanks and keeps quotes and escapes; `None` if a quote
/// stays open.
fn raw_words(line: &str, escape: char) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(open) => {
                word.push(c);
                if c == open {
                    quote = None;
                } else if c == escape && open == '"' {
                    word.extend(chars.next());
                }
            }
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            None => {
                word.push(c);
                if c == '\'' || c == '"' {
                    quote = Some(c);
                } else if c == escape {
                    word.extend(chars.next());
                }
            }
        }
    }
    if quote.is_some() {
        return None;
    }
    if !word.is_empty() {
        words.push(word);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Vec<String> {
        opened_by(line, '\\').into_iter().map(|doc| doc.name).collect()
    }

    #[test]
    fn words_that_open_a_document() {
        assert_eq!(names("RUN <<EOF"), ["EOF"]);
        assert_eq!(names("RUN cat <<A 3<<-'B C' <<\"D\""), ["A", "B C", "D"]);
        assert_eq!(parse("<<a b"), None);
        assert_eq!(names("RUN 3<<-'B' <<\"D\"e"), ["B", "De"]);
        let quoted = parse("<<'EOF'").unwrap();
        assert!(!quoted.expand && !quoted.strip_tabs);
        let stripped = parse("4<<-EOF").unwrap();
        assert!(stripped.expand && stripped.strip_tabs && stripped.descriptor == 4);
    }

    #[test]
    fn words_that_do_not() {
        for line in
            ["RUN a<<EOF", "RUN cat <<<word", "RUN echo $((1 << 2))", "RUN \"<<EOF\"", "RUN '<<X"]
        {
            assert_eq!(names(line), Vec::<String>::new(), "{line}");
        }
    }
}
