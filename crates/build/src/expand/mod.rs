//! Variable expansion and quote removal, as in the words of an instruction.
//!
//! The rules are those of POSIX shells for `$x`, `${x}` and its modifiers
//! `- + ? # ## % %% / //` (the first three also with `:`), without command
//! substitution. Pure.

mod pattern;

/// The longest value an expansion may give. The kernel takes no longer
/// argument (MAX_ARG_STRLEN), and `ENV a=$a$a` must not eat the memory.
pub const MAX_EXPANSION_BYTES: usize = 128 * 1024;

/// How deep `${a:-${b:-…}}` may nest, so that a hostile file cannot exhaust
/// the stack.
const MAX_DEPTH: usize = 64;

/// Where values come from.
pub trait Variables {
    /// The value of a variable; `None` if it is unset.
    fn get(&self, name: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Variables for F {
    fn get(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// Expands one word: variables replaced, quotes and escapes removed.
///
/// # Errors
/// With Docker's text, if the word is not well-formed.
pub fn word(text: &str, escape: char, variables: &dyn Variables) -> Result<String, String> {
    run(text, escape, variables, Quotes::Remove).map(|words| words.whole)
}

/// Expands and splits at blanks that were not quoted, also at those that came
/// out of a variable.
///
/// # Errors
/// As [`word`].
pub fn words(text: &str, escape: char, variables: &dyn Variables) -> Result<Vec<String>, String> {
    run(text, escape, variables, Quotes::Remove).map(|mut words| {
        words.end_word();
        words.list
    })
}

/// Expands the contents of a here-document: quotes are ordinary characters, an
/// escape character counts before `$`, itself and a backquote only.
///
/// # Errors
/// As [`word`].
pub fn document(text: &str, escape: char, variables: &dyn Variables) -> Result<String, String> {
    run(text, escape, variables, Quotes::Keep).map(|words| words.whole)
}

fn run(
    text: &str,
    escape: char,
    variables: &dyn Variables,
    quotes: Quotes,
) -> Result<Words, String> {
    let chars: Vec<char> = text.chars().collect();
    let mut expansion = Expansion { chars: &chars, at: 0, escape, variables, quotes, depth: 0 };
    expansion.until(None, false).map_err(|error| format!("failed to process {text:?}: {error}"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Remove,
    Keep,
}

/// The result as a whole and as words.
#[derive(Default)]
struct Words {
    whole: String,
    list: Vec<String>,
    current: String,
}

impl Words {
    /// Adds text that splits at its blanks.
    fn push_split(&mut self, text: &str) {
        self.whole.push_str(text);
        for c in text.chars() {
            if c.is_whitespace() { self.end_word() } else { self.current.push(c) }
        }
    }

    /// Adds text that holds together.
    fn push_whole(&mut self, text: &str) {
        self.whole.push_str(text);
        self.current.push_str(text);
    }

    fn end_word(&mut self) {
        if !self.current.is_empty() {
            self.list.push(std::mem::take(&mut self.current));
        }
    }
}

struct Expansion<'a> {
    chars: &'a [char],
    at: usize,
    escape: char,
    variables: &'a dyn Variables,
    quotes: Quotes,
    depth: usize,
}

impl Expansion<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    /// Expands up to `stop`, which is taken, or to the end. `raw_escapes` keeps
    /// escape characters for a pattern that follows.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<Words, String> {
        let mut words = Words::default();
        while let Some(c) = self.peek() {
            if stop == Some(c) {
                self.at += 1;
                return Ok(words);
            }
            match c {
                '\'' if self.quotes == Quotes::Remove => words.push_whole(&self.single_quoted()?),
                '"' if self.quotes == Quotes::Remove => {
                    words.push_whole(&self.double_quoted(raw_escapes)?);
                }
                '$' => words.push_split(&self.dollar()?),
                c if c == self.escape => self.escaped(&mut words, raw_escapes),
                c => {
                    self.at += 1;
                    words.push_split(c.encode_utf8(&mut [0; 4]));
                }
            }
            if words.whole.len() > MAX_EXPANSION_BYTES {
                return Err(format!("the value is longer than {MAX_EXPANSION_BYTES} bytes"));
            }
        }
        match stop {
            Some('/') => Err("syntax error: missing '/' in ${}".to_owned()),
            Some(_) => Err("syntax error: missing '}'".to_owned()),
            None => Ok(words),
        }
    }

    fn escaped(&mut self, words: &mut Words, raw_escapes: bool) {
        self.at += 1;
        let next = self.peek();
        let keep = match self.quotes {
            Quotes::Remove => raw_escapes,
            Quotes::Keep => {
                raw_escapes || !matches!(next, Some(c) if "$`".contains(c) || c == self.escape)
            }
        };
        if keep {
            words.push_whole(self.escape.encode_utf8(&mut [0; 4]));
            if self.quotes == Quotes::Keep && !raw_escapes {
                return;
            }
        }
        if let Some(c) = next {
            self.at += 1;
            words.push_whole(c.encode_utf8(&mut [0; 4]));
        }
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        while let Some(c) = self.next() {
            if c == '\'' {
                return Ok(out);
            }
            out.push(c);
        }
        Err("unexpected end of statement while looking for matching single-quote".to_owned())
    }

    fn double_quoted(&mut self, raw_escapes: bool) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(out);
                }
                '$' => out.push_str(&self.dollar()?),
                c if c == self.escape => {
                    self.at += 1;
                    let next = self.peek();
                    let special = matches!(next, Some(n) if n == '"' || n == '$' || n == c);
                    if raw_escapes || (!special && next.is_some()) {
                        out.push(c);
                    }
                    if special {
                        self.at += 1;
                        out.extend(next);
                    }
                }
                c => {
                    self.at += 1;
                    out.push(c);
                }
            }
            if out.len() > MAX_EXPANSION_BYTES {
                return Err(format!("the value is longer than {MAX_EXPANSION_BYTES} bytes"));
            }
        }
        Err("unexpected end of statement while looking for matching double-quote".to_owned())
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.at += 1;
        if self.peek() == Some('{') {
            self.at += 1;
            if self.depth == MAX_DEPTH {
                return Err(format!("substitutions nest deeper than {MAX_DEPTH}"));
            }
            self.depth += 1;
            let value = self.braces();
            self.depth -= 1;
            return value;
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        Ok(self.variables.get(&name).unwrap_or_default())
    }

    /// A name, a number or one special character.
    fn name(&mut self) -> String {
        let start = self.at;
        match self.peek() {
            Some(c) if c.is_ascii_digit() => {
                while self.peek().is_some_and(|c| c.is_ascii_digit()) {
                    self.at += 1;
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => self.at += 1,
            _ => {
                while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.at += 1;
                }
            }
        }
        self.chars[start..self.at].iter().collect()
    }

    /// The rest of `${…}`.
    fn braces(&mut self) -> Result<String, String> {
        match self.peek() {
            None => return Err("syntax error: missing '}'".to_owned()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".to_owned()),
            Some(_) => {}
        }
        let name = self.name();
        let value = self.variables.get(&name);
        let Some(first) = self.next() else {
            return Err("syntax error: missing '}'".to_owned());
        };
        let empty_counts_as_unset = first == ':';
        let modifier = if empty_counts_as_unset {
            self.next().ok_or("syntax error: missing '}'")?
        } else {
            first
        };
        let set = value.as_deref().is_some_and(|v| !(empty_counts_as_unset && v.is_empty()));
        match modifier {
            '}' if !empty_counts_as_unset => Ok(value.unwrap_or_default()),
            '-' => {
                let default = self.until(Some('}'), false)?.whole;
                Ok(if set { value.unwrap_or_default() } else { default })
            }
            '+' => {
                let instead = self.until(Some('}'), false)?.whole;
                Ok(if set { instead } else { String::new() })
            }
            '?' => {
                let message = self.until(Some('}'), false)?.whole;
                if set {
                    Ok(value.unwrap_or_default())
                } else {
                    Err(missing(&name, &value, message))
                }
            }
            '#' | '%' => {
                let pattern = self.until(Some('}'), true)?.whole;
                trim(&pattern, &value.unwrap_or_default(), modifier)
            }
            '/' if !empty_counts_as_unset => self.replace(&value.unwrap_or_default()),
            other => {
                let colon = if empty_counts_as_unset { ":" } else { "" };
                Err(format!("unsupported modifier ({colon}{other}) in substitution"))
            }
        }
    }

    fn replace(&mut self, value: &str) -> Result<String, String> {
        let all = self.peek() == Some('/');
        if all {
            self.at += 1;
        }
        let pattern = self.until(Some('/'), true)?.whole;
        let replacement = self.until(Some('}'), true)?.whole;
        let compiled = pattern::compile(&pattern)
            .map_err(|error| format!("invalid pattern ({pattern}) in substitution: {error}"))?;
        let replaced = pattern::replace(&compiled, value, &replacement, all, MAX_EXPANSION_BYTES);
        replaced.ok_or_else(|| format!("the value is longer than {MAX_EXPANSION_BYTES} bytes"))
    }
}

fn missing(name: &str, value: &Option<String>, message: String) -> String {
    let message = match (message.as_str(), value) {
        ("", None) => "is not allowed to be unset".to_owned(),
        ("", Some(_)) => "is not allowed to be empty".to_owned(),
        _ => message,
    };
    format!("{name}: {message}")
}

/// `${x#p}`, `${x##p}`, `${x%p}`, `${x%%p}`; the doubled character is the first
/// of the pattern.
fn trim(pattern: &str, value: &str, modifier: char) -> Result<String, String> {
    let (pattern, longest) = match pattern.strip_prefix(modifier) {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let compiled = pattern::compile(pattern)
        .map_err(|error| format!("invalid pattern ({pattern}) in substitution: {error}"))?;
    Ok(if modifier == '#' {
        pattern::trim_prefix(&compiled, value, longest)
    } else {
        pattern::trim_suffix(&compiled, value, longest)
    })
}

#[cfg(test)]
mod tests;
