//! The patterns of `${x#pattern}` and `${x/pattern/text}`: `*`, `?` and escapes.

/// One element of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// This character.
    Char(char),
    /// Any one character.
    One,
    /// Any number of characters.
    Any,
}

/// Reads a pattern; `\` goes before `*`, `?`, `\`, and before the `}` and `/`
/// that would end it.
pub(super) fn compile(pattern: &str) -> Result<Vec<Element>, String> {
    let mut elements = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        elements.push(match c {
            '*' if elements.last() == Some(&Element::Any) => continue,
            '*' => Element::Any,
            '?' => Element::One,
            '\\' => match chars.next() {
                Some(c @ ('*' | '?' | '\\' | '}' | '/')) => Element::Char(c),
                Some(c) => return Err(format!("invalid escape '\\{c}'")),
                None => return Err("invalid escape at the end".to_owned()),
            },
            c => Element::Char(c),
        });
    }
    Ok(elements)
}

/// Removes the shortest or longest matching beginning.
pub(super) fn trim_prefix(pattern: &[Element], value: &str, longest: bool) -> String {
    let chars: Vec<char> = value.chars().collect();
    let length = matching(pattern, &chars, longest).unwrap_or(0);
    chars[length..].iter().collect()
}

/// Removes the shortest or longest matching end.
pub(super) fn trim_suffix(pattern: &[Element], value: &str, longest: bool) -> String {
    let pattern: Vec<Element> = pattern.iter().rev().copied().collect();
    let chars: Vec<char> = value.chars().rev().collect();
    let length = matching(&pattern, &chars, longest).unwrap_or(0);
    chars[length..].iter().rev().collect()
}

/// Replaces the first or every longest match; `None` if the result would be
/// longer than `limit` bytes. An empty pattern matches nothing.
pub(super) fn replace(
    pattern: &[Element],
    value: &str,
    replacement: &str,
    all: bool,
    limit: usize,
) -> Option<String> {
    let chars: Vec<char> = value.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    let mut done = false;
    while at < chars.len() {
        let found = if done { None } else { matching(pattern, &chars[at..], true) };
        match found {
            Some(length) if length > 0 => {
                out.push_str(replacement);
                at += length;
                done = !all;
            }
            _ => {
                out.push(chars[at]);
                at += 1;
            }
        }
        if out.len() > limit {
            return None;
        }
    }
    Some(out)
}

/// The length of the shortest or longest beginning that matches. Walks the
/// value once with the set of places the pattern may be at.
fn matching(pattern: &[Element], value: &[char], longest: bool) -> Option<usize> {
    let mut places = vec![false; pattern.len() + 1];
    places[0] = true;
    skip_any(pattern, &mut places);
    let mut found = None;
    for length in 0..=value.len() {
        if places[pattern.len()] {
            found = Some(length);
            if !longest {
                return found;
            }
        }
        let Some(c) = value.get(length) else { break };
        let mut next = vec![false; pattern.len() + 1];
        for (place, element) in pattern.iter().enumerate().filter(|(place, _)| places[*place]) {
            match element {
                Element::Char(expected) if expected != c => {}
                Element::Any => next[place] = true,
                Element::Char(_) | Element::One => next[place + 1] = true,
            }
        }
        if !next.contains(&true) {
            break;
        }
        skip_any(pattern, &mut next);
        places = next;
    }
    found
}

/// `*` also matches nothing.
fn skip_any(pattern: &[Element], places: &mut [bool]) {
    for (place, element) in pattern.iter().enumerate() {
        if places[place] && *element == Element::Any {
            places[place + 1] = true;
        }
    }
}
