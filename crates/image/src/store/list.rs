//! Listing images.

use std::collections::HashSet;

use shoal_model::{Digest, Reference, Timestamp};

use super::{Store, index::Names};
use crate::{Image, Result};

/// Which images `list` shows. `Default` is `docker images`.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// Also images that only others are built upon.
    pub all: bool,
    /// `reference=`: patterns on the familiar name (`*`, `?`, `[…]`), any of them.
    pub references: Vec<String>,
    /// `dangling=`: without names or with.
    pub dangling: Option<bool>,
    /// `label=`: name, and value if one was given; all of them.
    pub labels: Vec<(String, Option<String>)>,
    /// `before=`: made before this image.
    pub before: Option<String>,
    /// `since=`: made after this image.
    pub since: Option<String>,
    /// `until=`: made before this time.
    pub until: Option<Timestamp>,
}

impl Store {
    /// Images, newest first.
    ///
    /// # Errors
    /// When a filter names an image that is not there.
    pub fn list(&self, filter: &ListFilter) -> Result<Vec<Image>> {
        let time_of = |name: &Option<String>| -> Result<Option<Timestamp>> {
            let Some(name) = name else { return Ok(None) };
            self.resolve(name).map(|image| Some(image.created.unwrap_or(Timestamp::EPOCH)))
        };
        let before = time_of(&filter.before)?;
        let since = time_of(&filter.since)?;
        let state = self.inner.state();
        let mut names = state.index.all_names();
        let parents: HashSet<&Digest> =
            state.index.images.values().filter_map(|record| record.parent.as_ref()).collect();
        let mut found = Vec::new();
        for id in state.index.images.keys() {
            let mut names = names.remove(id).unwrap_or_default();
            let has_child = parents.contains(id);
            let shown = match filter.dangling {
                // A digest that is left of a pull is no name to go by.
                Some(true) => names.tags.is_empty() && !has_child,
                Some(false) => !names.is_empty(),
                None => !names.is_empty() || !has_child || filter.all,
            };
            if !shown {
                continue;
            }
            if !filter.references.is_empty() {
                keep_matching(&mut names, &filter.references);
                if names.is_empty() {
                    continue;
                }
            }
            let Some(image) = state.image_named(id, names) else { continue };
            let created = image.created.unwrap_or(Timestamp::EPOCH);
            let in_time = before.is_none_or(|before| created < before)
                && since.is_none_or(|since| created > since)
                && filter.until.is_none_or(|until| created < until);
            if in_time && has_labels(&image, &filter.labels) {
                found.push(image);
            }
        }
        found.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(found)
    }
}

/// All of the labels, with their values where given.
pub(super) fn has_labels(image: &Image, wanted: &[(String, Option<String>)]) -> bool {
    wanted.iter().all(|(name, value)| has_label(image, name, value.as_deref()))
}

pub(super) fn has_label(image: &Image, name: &str, value: Option<&str>) -> bool {
    let found = image.config.config.labels.get(name);
    found.is_some_and(|found| value.is_none_or(|value| value == found))
}

/// Docker shows only the names that match.
fn keep_matching(names: &mut Names, patterns: &[String]) {
    let matches = |name: &Reference| {
        let (whole, bare) = (name.familiar(), name.familiar_name());
        patterns.iter().any(|pattern| {
            let pattern = pattern.as_bytes();
            glob(pattern, whole.as_bytes()) || glob(pattern, bare.as_bytes())
        })
    };
    names.tags.retain(matches);
    names.digests.retain(matches);
}

/// Go's `path.Match`: `*` and `?` stop at `/`; a set may be negated with `^`.
///
/// Only the last `*` ever takes more: what an earlier one could take instead,
/// the last one can take as well, and a `/` ends both at the same place. So the
/// time grows with the product of the lengths and no faster.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // What follows the last `*`, and the text behind what that took so far.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some((b'*', rest)) = pattern.split_first() {
            star = Some((rest, text));
            pattern = rest;
        } else if pattern.is_empty() && text.is_empty() {
            return true;
        } else if let Some(after) = one(pattern, text) {
            (pattern, text) = after;
        } else {
            let Some((after, [byte, rest @ ..])) = star else { return false };
            if *byte == b'/' {
                return false;
            }
            star = Some((after, rest));
            (pattern, text) = (after, rest);
        }
    }
}

/// What follows in both if the pattern's first element, no `*`, is the first
/// byte of the text.
fn one<'a>(pattern: &'a [u8], text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (&byte, after) = text.split_first()?;
    let (matches, rest) = match pattern {
        [b'?', rest @ ..] => (byte != b'/', rest),
        [b'[', rest @ ..] => {
            let (found, rest) = in_set(rest, byte)?;
            (found && byte != b'/', rest)
        }
        [b'\\', escaped, rest @ ..] => (byte == *escaped, rest),
        [literal, rest @ ..] => (byte == *literal, rest),
        [] => return None,
    };
    matches.then_some((rest, after))
}

/// Whether `byte` is in the set that begins `pattern`, and what follows it.
fn in_set(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut found = false;
    let mut first = true;
    loop {
        match rest {
            [b']', after @ ..] if !first => return Some((found != negated, after)),
            [low, b'-', high, after @ ..] if *high != b']' => {
                found |= (*low..=*high).contains(&byte);
                rest = after;
            }
            [one, after @ ..] => {
                found |= *one == byte;
                rest = after;
            }
            [] => return None,
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, text, matches) in [
            ("busy*", "busybox", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("a?c", "abc", true),
            ("a[b-d]c", "acc", true),
            ("a[^b-d]c", "acc", false),
            ("a[", "ab", false),
            ("localhost:5000/*:1*", "localhost:5000/x:1.2", true),
            ("", "", true),
            ("*", "", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("*b/*d", "abb/ccd", true),
            ("*b/*d", "ab/c/d", false),
            ("*/b*", "a/c/b", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_longer() {
        let (pattern, text) = ("*a".repeat(100) + "*b", "a".repeat(4096));
        assert!(!glob(pattern.as_bytes(), text.as_bytes()));
    }
}
