//! What the filter `name=` chooses by: a regular expression, as in Docker.

use regex::bytes::{Regex, RegexBuilder};
use shoal_model::{Classify, Kind};

/// Bytes a compiled expression may take: they come from clients, and names are short.
const SIZE_LIMIT: usize = 1 << 20;

/// A regular expression in Go's syntax that is looked for in names.
#[derive(Debug, Clone)]
pub struct NamePattern {
    text: String,
    regex: Regex,
}

/// Text that is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid filter 'name={text}': {why}")]
pub struct NamePatternError {
    text: String,
    why: String,
}

impl Classify for NamePatternError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl NamePattern {
    /// Reads an expression.
    ///
    /// # Errors
    /// It is none, or one that would take too much memory.
    pub fn parse(text: &str) -> Result<Self, NamePatternError> {
        // As in Go, `\d` and `\w` are ASCII: names are.
        let built = RegexBuilder::new(text).unicode(false).size_limit(SIZE_LIMIT).build();
        match built {
            Ok(regex) => Ok(NamePattern { text: text.into(), regex }),
            Err(error) => {
                // The library draws the place on several lines; the last says what is wrong.
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim();
                let why = why.strip_prefix("error: ").unwrap_or(why).into();
                Err(NamePatternError { text: text.into(), why })
            }
        }
    }

    /// Whether it is in a name.
    pub fn matches(&self, name: &str) -> bool {
        self.text == name || self.regex.is_match(name.as_bytes())
    }

    /// Whether it is in a container's name, written with its slash or without.
    pub fn matches_container(&self, name: &str) -> bool {
        self.matches(name) || self.matches(&format!("/{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_looked_for_in_names() {
        for (text, matches) in [
            ("", true),
            ("eb", true),
            ("web-1", true),
            ("^web", true),
            ("^/web-1$", true),
            ("/web", true),
            ("w.b", true),
            ("web-(1|2)$", true),
            ("web-[0-9]+", true),
            (r"web-\d", true),
            ("(?i)WEB", true),
            ("^eb", false),
            ("we$", false),
            ("db", false),
            ("WEB", false),
        ] {
            let pattern = NamePattern::parse(text).unwrap();
            assert_eq!(pattern.matches_container("web-1"), matches, "{text}");
        }
        assert!(!NamePattern::parse("^/web").unwrap().matches("web"));
    }

    #[test]
    fn what_is_no_expression_is_named() {
        let error = NamePattern::parse("web[").unwrap_err();
        assert_eq!(error.to_string(), "invalid filter 'name=web[': unclosed character class");
        assert_eq!(error.kind(), Kind::Invalid);
        for huge in ["(", "*", "((a{100}){100}){100}"] {
            assert!(NamePattern::parse(huge).is_err(), "{huge}");
        }
    }
}
