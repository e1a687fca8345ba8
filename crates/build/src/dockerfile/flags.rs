//! The `--name=value` words between an instruction and its arguments.

use super::command::{Mount, MountKind};

/// How a flag is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `--name=value`, once.
    Value,
    /// `--name=value`, any number of times.
    Values,
    /// `--name` or `--name=true|false`, once.
    Switch,
}

/// The flags each instruction knows.
fn known(instruction: &str) -> &'static [(&'static str, Form)] {
    use Form::{Switch, Value, Values};
    match instruction {
        "FROM" => &[("platform", Value)],
        "COPY" => &[
            ("from", Value),
            ("chown", Value),
            ("chmod", Value),
            ("link", Switch),
            ("parents", Switch),
            ("exclude", Values),
        ],
        "ADD" => &[
            ("chown", Value),
            ("chmod", Value),
            ("link", Switch),
            ("keep-git-dir", Switch),
            ("checksum", Value),
            ("unpack", Switch),
            ("exclude", Values),
        ],
        "RUN" => &[("mount", Values), ("network", Value), ("security", Value), ("device", Values)],
        "HEALTHCHECK" => &[
            ("interval", Value),
            ("timeout", Value),
            ("start-period", Value),
            ("start-interval", Value),
            ("retries", Value),
        ],
        _ => &[],
    }
}

/// The flags of one instruction.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    given: Vec<(&'static str, String)>,
}

impl Flags {
    /// Checks words against what the instruction knows.
    pub(crate) fn check(instruction: &str, words: &[String]) -> Result<Self, String> {
        let mut flags = Self::default();
        for word in words {
            let body = word.strip_prefix("--").unwrap_or(word);
            let (name, value) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (body, None),
            };
            let Some((name, form)) = known(instruction).iter().find(|(known, _)| *known == name)
            else {
                return Err(format!("unknown flag: --{name}"));
            };
            if *form != Form::Values && flags.value(name).is_some() {
                return Err(format!("duplicate flag specified: {name}"));
            }
            let value = match (form, value) {
                (Form::Switch, None) => "true".to_owned(),
                (Form::Switch, Some(value)) => switch(name, value)?,
                (_, Some(value)) => value.to_owned(),
                (_, None) => return Err(format!("missing a value on flag: {name}")),
            };
            flags.given.push((name, value));
        }
        Ok(flags)
    }

    /// The value of a flag, if it was given.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| value.clone())
    }

    /// All values of a flag.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        self.given
            .iter()
            .filter(|(given, _)| *given == name)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// Whether a switch is on, if it was given.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        self.value(name).map(|value| value == "true")
    }
}

fn switch(name: &str, value: &str) -> Result<String, String> {
    match value.to_ascii_lowercase().as_str() {
        on @ ("true" | "false") => Ok(on.to_owned()),
        _ => Err(format!("expecting boolean value for flag {name}, not: {value}")),
    }
}

/// Takes the words that begin with `--` off the front of the arguments, quotes
/// and escapes removed. A lone `--` ends them.
pub(crate) fn take(arguments: &str) -> (Vec<String>, &str) {
    let mut words = Vec::new();
    let mut rest = arguments.trim_start();
    while rest.starts_with("--") {
        let (word, after) = take_word(rest);
        rest = after.trim_start();
        if word == "--" {
            break;
        }
        words.push(word);
    }
    (words, rest)
}

/// Takes one word; the escape character of flags is always the backslash.
fn take_word(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => return (word, &text[at..]),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (_, '\\') => word.extend(chars.next().map(|(_, escaped)| escaped)),
            (_, c) => word.push(c),
        }
    }
    (word, "")
}

/// Reads the value of `RUN --mount`.
pub(crate) fn mount(value: &str) -> Result<Mount, String> {
    const KEYS: [&str; 15] = [
        "source",
        "src",
        "target",
        "dst",
        "destination",
        "from",
        "readonly",
        "ro",
        "readwrite",
        "rw",
        "id",
        "sharing",
        "required",
        "size",
        "mode",
    ];
    let mut kind = MountKind::Bind;
    let mut fields = Vec::new();
    for field in csv_fields(value)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value.to_owned())),
            None => (field.to_ascii_lowercase(), None),
        };
        match (key.as_str(), value) {
            ("type", Some(value)) => kind = mount_kind(&value)?,
            ("readonly" | "ro" | "readwrite" | "rw" | "required", value) => {
                fields.push((key, value));
            }
            (_, None) => return Err(format!("invalid field '{field}' must be a key=value pair")),
            (known, value) if KEYS.contains(&known) || matches!(known, "uid" | "gid" | "env") => {
                fields.push((key, value));
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    Ok(Mount { kind, fields })
}

fn mount_kind(name: &str) -> Result<MountKind, String> {
    match name.to_ascii_lowercase().as_str() {
        "bind" => Ok(MountKind::Bind),
        "cache" => Ok(MountKind::Cache),
        "tmpfs" => Ok(MountKind::Tmpfs),
        "secret" => Ok(MountKind::Secret),
        "ssh" => Ok(MountKind::Ssh),
        other => Err(format!("unsupported mount type {other:?}")),
    }
}

/// The fields of one CSV record: `"` around a field, doubled inside.
fn csv_fields(record: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = record;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => csv_quoted(quoted).ok_or("failed to parse csv mounts: bare quote")?,
            None => match rest.find(',') {
                Some(comma) => (rest[..comma].to_owned(), Some(&rest[comma + 1..])),
                None => (rest.to_owned(), None),
            },
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// A quoted field behind its first quote, and what follows its comma.
fn csv_quoted(text: &str) -> Option<(String, Option<&str>)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        if let Some(more) = rest.strip_prefix('"') {
            field.push('"');
            rest = more;
        } else if rest.is_empty() {
            return Some((field, None));
        } else {
            return Some((field, Some(rest.strip_prefix(',')?)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_end_with_the_first_other_word() {
        let (words, rest) = take("--from=a  --chown='b c' -- --x y");
        assert_eq!((words, rest), (vec!["--from=a".into(), "--chown=b c".into()], "--x y"));
        assert_eq!(take("x --from=a").1, "x --from=a");
        assert_eq!(take("--a\\ b c").0, ["--a b"]);
    }

    #[test]
    fn what_is_wrong_with_a_flag_is_said_in_dockers_words() {
        let fail = |instruction, word: &str| {
            Flags::check(instruction, &word.split(' ').map(str::to_owned).collect::<Vec<_>>())
                .unwrap_err()
        };
        assert_eq!(fail("COPY", "--frm=a"), "unknown flag: --frm");
        assert_eq!(fail("COPY", "--from"), "missing a value on flag: from");
        assert_eq!(fail("COPY", "--from=a --from=b"), "duplicate flag specified: from");
        assert_eq!(fail("COPY", "--link=x"), "expecting boolean value for flag link, not: x");
    }

    #[test]
    fn mounts_are_csv() {
        let cache = mount("type=cache,target=/x,\"id=a,b\"\"c\",ro").unwrap();
        assert_eq!(cache.kind, MountKind::Cache);
        assert_eq!(
            cache.fields,
            [
                ("target".into(), Some("/x".into())),
                ("id".into(), Some("a,b\"c".into())),
                ("ro".into(), None)
            ]
        );
        assert_eq!(mount("type=x").unwrap_err(), "unsupported mount type \"x\"");
        assert_eq!(mount("foo=1").unwrap_err(), "unexpected key 'foo' in 'foo=1'");
        assert!(mount("\"a").is_err());
    }
}
