//! Path patterns as in Go's `filepath.Match`, with `**` for the files that
//! name patterns of whole trees.
//!
//! `*` and `?` do not match `/`; `[a-c]` and `[^a-c]` are classes; `\` takes
//! the next character as it is.

/// A pattern that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    elements: Vec<Element>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    Char(char),
    /// One character but `/`.
    One,
    /// Any number of characters but `/`.
    Star,
    /// `**`: any number of characters.
    Tree,
    /// `**/`: nothing, or any number of characters that end with `/`.
    Directories,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Whether `**` is more than `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stars {
    /// `**` is `*`, as in `COPY a/**`.
    Single,
    /// `**` goes through directories, as in `.dockerignore`.
    Double,
}

impl Glob {
    /// Reads a pattern; `None` if it is not well-formed (Go's `syntax error in
    /// pattern`).
    pub(crate) fn new(pattern: &str, stars: Stars) -> Option<Self> {
        let mut elements = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            elements.push(match c {
                '*' if stars == Stars::Double && chars.peek() == Some(&'*') => {
                    chars.next();
                    if chars.peek() == Some(&'/') {
                        chars.next();
                        Element::Directories
                    } else {
                        Element::Tree
                    }
                }
                '*' => Element::Star,
                '?' => Element::One,
                '\\' => Element::Char(chars.next()?),
                '[' => class(&mut chars)?,
                c => Element::Char(c),
            });
        }
        Some(Self { elements })
    }

    /// Whether the whole path matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let mut places = self.nowhere();
        places.at[0] = true;
        self.skip(&mut places);
        for c in path.chars() {
            let mut next = self.nowhere();
            for (place, element) in self.elements.iter().enumerate() {
                if places.at[place] || places.inside[place] {
                    step(element, c, place, &mut next);
                }
            }
            self.skip(&mut next);
            places = next;
        }
        places.at[self.elements.len()]
    }

    fn nowhere(&self) -> Places {
        let size = self.elements.len() + 1;
        Places { at: vec![false; size], inside: vec![false; size] }
    }

    /// Moves past elements that may match nothing.
    fn skip(&self, places: &mut Places) {
        for (place, element) in self.elements.iter().enumerate() {
            let optional = matches!(element, Element::Star | Element::Tree | Element::Directories);
            if places.at[place] && optional {
                places.at[place + 1] = true;
            }
        }
    }
}

/// The elements a match may be before, and those `**/` it may be inside of.
struct Places {
    at: Vec<bool>,
    inside: Vec<bool>,
}

/// Where the pattern is after one more character.
fn step(element: &Element, c: char, place: usize, next: &mut Places) {
    match element {
        Element::Char(expected) if *expected == c => next.at[place + 1] = true,
        Element::One if c != '/' => next.at[place + 1] = true,
        Element::Star if c != '/' => next.at[place] = true,
        Element::Tree => next.at[place] = true,
        Element::Directories if c == '/' => next.at[place] = true,
        Element::Directories => next.inside[place] = true,
        Element::Class { negated, ranges } if c != '/' => {
            let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
            if inside != *negated {
                next.at[place + 1] = true;
            }
        }
        _ => {}
    }
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Element> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Some(Element::Class { negated, ranges });
        }
        let low = class_char(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { class_char(chars)? } else { low };
        ranges.push((low, high));
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '\\' => chars.next(),
        '-' | ']' => None,
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str, stars: Stars) -> bool {
        Glob::new(pattern, stars).unwrap().matches(path)
    }

    #[test]
    fn as_filepath_match() {
        for (pattern, path, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^b-d]", "abc", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a/b", false),
            ("a[^a]b", "a\u{263a}b", true),
            ("[\\]a]", "]", true),
            ("**", "a/b", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, path, Stars::Single), expected, "{pattern} {path}");
        }
        for pattern in ["[", "[^", "[]a]", "[a-", "[-]", "a\\", "[a"] {
            assert_eq!(Glob::new(pattern, Stars::Single), None, "{pattern}");
        }
    }

    #[test]
    fn double_stars_go_through_directories() {
        for (pattern, path, expected) in [
            ("**", "a/b", true),
            ("**/b", "b", true),
            ("**/b", "a/c/b", true),
            ("**/b", "a/cb", false),
            ("**/b", "ab", false),
            ("a/**", "a/b/c", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            ("**/*.py", "x/y.py", true),
            ("dir/**/*.c", "dir/c.h", false),
        ] {
            assert_eq!(matches(pattern, path, Stars::Double), expected, "{pattern} {path}");
        }
    }
}
