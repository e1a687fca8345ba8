//! Query strings, read the way Docker reads them.
//!
//! Docker's booleans are loose ("1", "true", "True", anything but a few words
//! for no), its filters come in two JSON forms; none of that is serde's idea of
//! a query string, so it is parsed here.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::error::{ApiError, Result};

/// Docker's filters: a key and the values any of which may match.
pub(crate) type Filters = BTreeMap<String, Vec<String>>;

/// The decoded parameters of a request in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes the part of a URI after the question mark.
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(decode_pair).collect(),
        )
    }

    /// The first value of `key`, the empty one included.
    pub(crate) fn raw(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.as_str())
    }

    /// The first value of `key`, if it is not empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.raw(key).filter(|v| !v.is_empty())
    }

    /// Every value of `key`.
    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.as_str())
    }

    /// Docker's boolean: absent, empty, 0, no, false and none are false.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.raw(key).is_some_and(|v| truth(v.trim()))
    }

    /// The same with a default for the absent key.
    pub(crate) fn flag_or(&self, key: &str, default: bool) -> bool {
        self.get(key).map_or(default, |v| truth(v.trim()))
    }

    /// A whole number.
    ///
    /// # Errors
    /// When the value is there and is none.
    pub(crate) fn int(&self, key: &str) -> Result<Option<i64>> {
        let Some(text) = self.get(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            ApiError::invalid(format!("invalid value {text:?} for {key}: not a whole number"))
        })
    }

    /// The `filters` parameter; both of Docker's forms,
    /// `{"label":["a"]}` and the older `{"label":{"a":true}}`.
    ///
    /// # Errors
    /// When the value is not such a document.
    pub(crate) fn filters(&self) -> Result<Filters> {
        self.get("filters").map_or_else(|| Ok(Filters::new()), parse_filters)
    }

    /// Refuses a parameter Shoal has no meaning for, unless it is at its zero.
    ///
    /// # Errors
    /// `NotImplemented`, naming the parameter.
    pub(crate) fn refuse(&self, keys: &[&str]) -> Result<()> {
        match keys.iter().find(|key| self.flag(key)) {
            Some(key) => Err(ApiError::unsupported(format!("the parameter {key:?}"))),
            None => Ok(()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

fn decode_pair((key, value): (&str, &str)) -> (String, String) {
    (decode(key), decode(value))
}

fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// Docker's `httputils.BoolValue`.
fn truth(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
}

fn parse_filters(text: &str) -> Result<Filters> {
    let bad = || ApiError::invalid(format!("invalid filters: {text}"));
    let Ok(Value::Object(map)) = serde_json::from_str(text) else { return Err(bad()) };
    map.into_iter().map(|(key, value)| Ok((key, filter_values(value).ok_or_else(bad)?))).collect()
}

fn filter_values(value: Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.into_iter().map(scalar).collect(),
        Value::Object(map) => Some(map.into_iter().map(|(key, _)| key).collect()),
        Value::Null => Some(Vec::new()),
        other => Some(vec![scalar(other)?]),
    }
}

fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(on) => Some(on.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Refuses filters other than `known`, with Docker's text.
///
/// # Errors
/// `Invalid`, naming the filter.
pub(crate) fn only(filters: &Filters, known: &[&str]) -> Result<()> {
    match filters.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(ApiError::invalid(format!("invalid filter '{key}'"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_dockers() {
        let query = Query::parse("a=1&b=True&c=0&d=false&e=&f&g=none&H=yes");
        for (key, want) in
            [("a", true), ("b", true), ("c", false), ("d", false), ("e", false), ("f", false)]
        {
            assert_eq!(query.flag(key), want, "{key}");
        }
        assert!(!query.flag("g") && query.flag("h") && query.flag_or("missing", true));
    }

    #[test]
    fn values_are_decoded_and_repeat() {
        let query = Query::parse("names=a%2Fb&names=c+d&size=-1&bad=1x");
        assert_eq!(query.all("names").collect::<Vec<_>>(), ["a/b", "c d"]);
        assert_eq!(query.int("size").expect("a number"), Some(-1));
        assert!(query.int("bad").is_err());
    }

    #[test]
    fn filters_come_in_two_forms() {
        let new = Query::parse("filters=%7B%22label%22%3A%5B%22a%22%2C%22b%22%5D%7D");
        let old = Query::parse("filters=%7B%22label%22%3A%7B%22a%22%3Atrue%2C%22b%22%3Atrue%7D%7D");
        assert_eq!(new.filters().expect("filters"), old.filters().expect("filters"));
        assert!(Query::parse("filters=%5B%5D").filters().is_err());
        let filters = new.filters().expect("filters");
        assert!(only(&filters, &["label"]).is_ok() && only(&filters, &["name"]).is_err());
    }
}
