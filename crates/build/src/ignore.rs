//! `.dockerignore`: which files of a context do not take part.

use std::path::Path;

use crate::glob::{Glob, Stars};
use crate::tree::clean;

/// The largest file read.
pub const MAX_IGNORE_BYTES: usize = 1024 * 1024;

/// The most patterns one file may have: each is tried on each path.
const MAX_PATTERNS: usize = 10_000;

/// The patterns of a `.dockerignore`, in order; the last that matches counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    glob: Glob,
    /// `!pattern`: takes part again.
    keeps: bool,
}

impl Ignore {
    /// Reads a file: a pattern a line, `#` before a remark.
    ///
    /// # Errors
    /// Names the pattern that is not well-formed.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_IGNORE_BYTES {
            return Err(format!(".dockerignore is longer than {MAX_IGNORE_BYTES} bytes"));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self::new(lines)
    }

    /// Takes patterns one by one.
    ///
    /// # Errors
    /// Names the pattern that is not well-formed.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut rules = Vec::new();
        for pattern in patterns.into_iter().map(str::trim).filter(|p| !p.is_empty()) {
            let (keeps, path) = match pattern.strip_prefix('!') {
                Some(path) => (true, path.trim()),
                None => (false, pattern),
            };
            if path.is_empty() {
                return Err("illegal exclusion pattern: \"!\"".to_owned());
            }
            let path = clean(Path::new(path));
            let path = path.to_string_lossy();
            if path.is_empty() {
                continue;
            }
            let glob = Glob::new(&path, Stars::Double)
                .ok_or_else(|| format!("syntax error in pattern: {pattern:?}"))?;
            rules.push(Rule { glob, keeps });
            if rules.len() > MAX_PATTERNS {
                return Err(format!(".dockerignore has more than {MAX_PATTERNS} patterns"));
            }
        }
        Ok(Self { rules })
    }

    /// Whether a path (relative, without `.`) is left out. A pattern that
    /// matches a directory matches what is below it.
    pub fn matches(&self, path: &Path) -> bool {
        let mut left_out = false;
        for rule in &self.rules {
            // A rule that would change nothing need not be tried.
            if rule.keeps == left_out && path_or_parent_matches(&rule.glob, path) {
                left_out = !rule.keeps;
            }
        }
        left_out
    }

    /// Whether something below a directory that is left out may take part
    /// again.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.keeps)
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

fn path_or_parent_matches(glob: &Glob, path: &Path) -> bool {
    path.ancestors()
        .filter(|ancestor| !ancestor.as_os_str().is_empty())
        .any(|ancestor| glob.matches(&ancestor.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ignored(patterns: &str, path: &str) -> bool {
        Ignore::parse(patterns.as_bytes()).unwrap().matches(Path::new(path))
    }

    #[test]
    fn the_last_match_counts() {
        for (patterns, path, expected) in [
            ("*.md\n!README.md", "CHANGES.md", true),
            ("*.md\n!README.md", "README.md", false),
            ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
            ("*/temp*", "some/temporary.txt", true),
            ("*/temp*", "temporary.txt", false),
            ("**/*.go", "a/b/c.go", true),
            ("node_modules", "node_modules/x/y.js", true),
            ("/node_modules/", "node_modules/x", true),
            ("./a/../b", "b/c", true),
            ("*\n!src", "src/main.rs", false),
            ("*\n!src", "target/x", true),
            ("# a\n\n  b  ", "b", true),
            ("\u{feff}a", "a", true),
            (".", "a", false),
            ("temp?", "tempa", true),
        ] {
            assert_eq!(ignored(patterns, path), expected, "{patterns:?} {path}");
        }
    }

    #[test]
    fn a_wrong_pattern_is_named() {
        assert_eq!(Ignore::parse(b"a\n[").unwrap_err(), "syntax error in pattern: \"[\"");
        assert_eq!(Ignore::parse(b"!").unwrap_err(), "illegal exclusion pattern: \"!\"");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), path in "[a-c/.]{0,20}") {
            if let Ok(ignore) = Ignore::parse(&bytes) {
                let _ = ignore.matches(Path::new(&path));
            }
        }

        #[test]
        fn a_plain_name_matches_itself_and_what_is_below(name in "[a-z]{1,8}", below in "[a-z]{1,8}") {
            prop_assert!(ignored(&name, &name));
            let path = format!("{name}/{below}");
            prop_assert!(ignored(&name, &path));
            let pattern = format!("*\n!{name}");
            prop_assert!(!ignored(&pattern, &path));
        }
    }
}
