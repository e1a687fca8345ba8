//! Parser directives: `# key=value` lines before anything else in the file.

/// A directive this language knows, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// `escape`, `syntax` or `check`.
    pub name: String,
    /// The value, trimmed.
    pub value: String,
    /// Its line, from 1.
    pub line: usize,
}

const KNOWN: [&str; 3] = ["escape", "syntax", "check"];

/// The state of reading directives: over with the first line that is none.
#[derive(Debug)]
pub(crate) struct Directives {
    open: bool,
    pub(crate) found: Vec<Directive>,
    pub(crate) escape: char,
}

impl Directives {
    pub(crate) fn new() -> Self {
        Self { open: true, found: Vec::new(), escape: '\\' }
    }

    /// Looks at a line of the file's head, its leading blanks removed.
    pub(crate) fn read(&mut self, line: &str, number: usize) -> Result<(), String> {
        if !self.open {
            return Ok(());
        }
        let Some((name, value)) = split(line) else {
            self.open = false;
            return Ok(());
        };
        let name = name.to_ascii_lowercase();
        if !KNOWN.contains(&name.as_str()) {
            self.open = false;
            return Ok(());
        }
        if self.found.iter().any(|seen| seen.name == name) {
            return Err(format!("only one {name} parser directive can be used"));
        }
        if name == "escape" {
            self.escape = match value {
                "\\" => '\\',
                "`" => '`',
                other => {
                    return Err(format!("invalid escape token '{other}' does not match ` or \\"));
                }
            };
        }
        self.found.push(Directive { name, value: value.to_owned(), line: number });
        Ok(())
    }
}

/// `# name = value` taken apart, if it has that form.
fn split(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric())
        && !value.is_empty();
    well_formed.then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_head_of_the_file_counts() {
        let mut directives = Directives::new();
        directives.read("# syntax = docker/dockerfile:1 ", 1).unwrap();
        directives.read("#escape=`", 2).unwrap();
        directives.read("# a comment", 3).unwrap();
        directives.read("# check=skip=all", 4).unwrap();
        assert_eq!(directives.escape, '`');
        let names: Vec<_> = directives.found.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["syntax", "escape"]);
    }

    #[test]
    fn a_directive_stands_once_and_escape_is_one_of_two() {
        let mut directives = Directives::new();
        directives.read("# escape=\\", 1).unwrap();
        assert_eq!(
            directives.read("# ESCAPE=`", 2).unwrap_err(),
            "only one escape parser directive can be used"
        );
        assert_eq!(
            Directives::new().read("# escape=x", 1).unwrap_err(),
            "invalid escape token 'x' does not match ` or \\"
        );
    }

    #[test]
    fn a_first_comment_closes_the_head() {
        let mut directives = Directives::new();
        directives.read("# unknown=1", 1).unwrap();
        directives.read("# escape=`", 2).unwrap();
        assert_eq!(directives.escape, '\\');
    }
}
