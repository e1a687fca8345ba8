//! Building paths, query strings and Docker's filters.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b':');

/// The parameters of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// No parameters.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter.
    pub(crate) fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.0.push((key.to_owned(), value.to_string()));
        self
    }

    /// Adds a parameter that is there.
    pub(crate) fn with_some(self, key: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds a parameter that is true.
    pub(crate) fn with_flag(self, key: &str, on: bool) -> Self {
        if on { self.with(key, 1) } else { self }
    }

    /// Adds filters, if any.
    pub(crate) fn with_filters(self, filters: &Filters) -> Self {
        if filters.0.is_empty() { self } else { self.with("filters", json!(filters.0)) }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "?" } else { "&" })?;
            write!(f, "{key}={}", utf8_percent_encode(value, KEPT))?;
        }
        Ok(())
    }
}

/// Docker's filters: `--filter key=value`, repeated.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Reads the values of `--filter`.
    ///
    /// # Errors
    /// When one has no `=`.
    pub(crate) fn parse(texts: &[String]) -> Result<Self> {
        let mut filters = Self::default();
        for text in texts {
            let Some((key, value)) = text.split_once('=') else {
                bail!("invalid argument {text:?} for \"--filter\": expected key=value");
            };
            filters.add(key.trim().to_lowercase().as_str(), value.trim());
        }
        Ok(filters)
    }

    /// Adds one value to a key.
    pub(crate) fn add(&mut self, key: &str, value: &str) {
        self.0.entry(key.to_owned()).or_default().push(value.to_owned());
    }

    /// Adds all of another's values.
    pub(crate) fn extend(&mut self, other: Self) {
        for (key, values) in other.0 {
            self.0.entry(key).or_default().extend(values);
        }
    }

    /// The same with one more value.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.add(key, value);
        self
    }
}

/// A name as part of a path; the slashes of image names stay.
pub(crate) fn segment(name: &str) -> String {
    utf8_percent_encode(name, KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded() {
        let filters = Filters::parse(&["label=a=b".into(), "Label=c".into()]).expect("filters");
        let query =
            Query::new().with_flag("all", true).with_flag("size", false).with_filters(&filters);
        assert_eq!(
            query.to_string(),
            "?all=1&filters=%7B%22label%22:%5B%22a%3Db%22%2C%22c%22%5D%7D"
        );
        assert!(Filters::parse(&["x".into()]).is_err());
        assert_eq!(segment("a/b:c d"), "a/b:c%20d");
    }
}
