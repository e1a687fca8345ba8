//! API versions: the prefix `/v1.41` of a path, and what follows from it.

use http::Uri;
use http::uri::PathAndQuery;

use super::error::{ApiError, Result};

/// The newest version served.
pub(crate) const NEWEST: ApiVersion = ApiVersion { minor: 50 };
/// The oldest version served.
pub(crate) const OLDEST: ApiVersion = ApiVersion { minor: 24 };

/// A version of the Docker Engine API; the major number is always 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion {
    minor: u32,
}

impl ApiVersion {
    /// Whether this is 1.`minor` or newer.
    pub(crate) fn at_least(self, minor: u32) -> bool {
        self.minor >= minor
    }
}

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1.{}", self.minor)
    }
}

/// Takes the version prefix off a request's path. Without one the newest
/// version is meant.
///
/// # Errors
/// `Invalid` with Docker's text for a version outside of what is served.
pub(crate) fn split(uri: &Uri) -> Result<(ApiVersion, Uri)> {
    let path = uri.path();
    let Some((version, rest)) = prefix(path) else { return Ok((NEWEST, uri.clone())) };
    let (major, minor) = version;
    let text = format!("{major}.{minor}");
    if (major, minor) < (1, OLDEST.minor) {
        return Err(ApiError::invalid(format!(
            "client version {text} is too old. Minimum supported API version is {OLDEST}, \
             please upgrade your client to a newer version"
        )));
    }
    if (major, minor) > (1, NEWEST.minor) {
        return Err(ApiError::invalid(format!(
            "client version {text} is too new. Maximum supported API version is {NEWEST}"
        )));
    }
    Ok((ApiVersion { minor }, without_prefix(uri, rest)))
}

/// Reads `/vMAJOR.MINOR` off the front of a path.
fn prefix(path: &str) -> Option<((u32, u32), &str)> {
    let rest = path.strip_prefix("/v")?;
    let (version, _) = rest.split_once('/').unwrap_or((rest, ""));
    let (major, minor) = version.split_once('.')?;
    Some(((major.parse().ok()?, minor.parse().ok()?), &rest[version.len()..]))
}

fn without_prefix(uri: &Uri, rest: &str) -> Uri {
    let path = if rest.is_empty() { "/" } else { rest };
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    // A part of a valid path and its query are a valid path and query.
    parts.path_and_query = PathAndQuery::try_from(text).ok();
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_text(text: &str) -> Result<(String, String)> {
        let (version, uri) = split(&text.parse().expect("a uri"))?;
        Ok((version.to_string(), uri.to_string()))
    }

    #[test]
    fn the_prefix_is_taken_off() {
        let cases = [
            ("/v1.41/containers/json?all=1", "1.41", "/containers/json?all=1"),
            ("/containers/json", "1.50", "/containers/json"),
            ("/v1.24/_ping", "1.24", "/_ping"),
            ("/volumes", "1.50", "/volumes"),
            ("/v1.x/info", "1.50", "/v1.x/info"),
        ];
        for (uri, version, rest) in cases {
            assert_eq!(split_text(uri).expect(uri), (version.to_owned(), rest.to_owned()));
        }
    }

    #[test]
    fn other_versions_are_refused_in_dockers_words() {
        let old = split_text("/v1.10/info").expect_err("too old");
        assert_eq!(
            old.message(),
            "client version 1.10 is too old. Minimum supported API version is 1.24, \
             please upgrade your client to a newer version"
        );
        let new = split_text("/v1.51/info").expect_err("too new");
        assert_eq!(
            new.message(),
            "client version 1.51 is too new. Maximum supported API version is 1.50"
        );
        assert!(split_text("/v2.0/info").is_err());
    }
}
