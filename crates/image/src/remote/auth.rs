//! Who we are to a registry: credentials, challenges and tokens
//! (`WWW-Authenticate`; Docker's token specification).

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{RemoteError, error};

/// How to say who we are to a registry.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum Auth {
    /// Not at all.
    #[default]
    Anonymous,
    /// User name and password, as `docker login` stores them.
    Basic {
        /// The name.
        username: String,
        /// The password or access token.
        password: String,
    },
    /// An OAuth2 refresh token (`identitytoken`).
    IdentityToken(String),
    /// A bearer token to be sent as it is (`registrytoken`).
    RegistryToken(String),
}

/// Secrets stay out of logs.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { username, .. } => write!(f, "Basic({username})"),
            Self::IdentityToken(_) => f.write_str("IdentityToken"),
            Self::RegistryToken(_) => f.write_str("RegistryToken"),
        }
    }
}

impl Auth {
    /// The header of basic authorisation.
    pub(super) fn basic(&self) -> Option<String> {
        match self {
            Self::Basic { username, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
            }
            _ => None,
        }
    }
}

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Nothing.
    None,
    /// Name and password.
    Basic,
    /// A token from somebody else.
    Bearer {
        /// Where tokens are given.
        realm: String,
        /// For whom.
        service: String,
    },
}

impl Challenge {
    /// Reads the headers of an answer; of several challenges, the first one
    /// that is understood.
    pub(super) fn of(headers: &http::HeaderMap) -> Self {
        let values = headers.get_all(http::header::WWW_AUTHENTICATE);
        values
            .iter()
            .filter_map(|value| value.to_str().ok().and_then(Self::parse))
            .next()
            .unwrap_or(Self::None)
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, parameters) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, String::new());
        for (name, value) in parameters_of(parameters) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = value,
                _ => {}
            }
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

/// `a="b",c=d` as pairs.
fn parameters_of(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((name, rest)) = text.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_owned();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        found.push((name, value.trim().to_owned()));
        text = rest;
    }
    found
}

/// A bearer token and when it ends.
pub(super) struct Token {
    pub(super) header: String,
    pub(super) until: Instant,
}

/// How long a token is good when its giver does not say (Docker's
/// specification).
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// Longest time a token is used, whatever its giver says.
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// A token is renewed this long before its end, so that it does not end on
/// the way.
const MARGIN: Duration = Duration::from_secs(10);
/// Longest answer of a token server. Tokens are a few KiB.
const MAX_ANSWER: usize = 1 << 20;

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Gets a token for these scopes.
pub(super) async fn fetch_token(
    client: &reqwest::Client,
    realm: &str,
    service: &str,
    scopes: &[String],
    auth: &Auth,
) -> Result<Token, RemoteError> {
    let request = match auth {
        Auth::IdentityToken(refresh) => {
            let scope = scopes.join(" ");
            let form = query(&[
                ("grant_type", "refresh_token"),
                ("service", service),
                ("client_id", "shoal"),
                ("scope", &scope),
                ("refresh_token", refresh),
            ]);
            let kind = "application/x-www-form-urlencoded";
            client.post(realm).header(http::header::CONTENT_TYPE, kind).body(form)
        }
        _ => {
            let mut parts = vec![("service", service)];
            parts.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
            let joint = if realm.contains('?') { '&' } else { '?' };
            let request = client.get(format!("{realm}{joint}{}", query(&parts)));
            match auth.basic() {
                Some(header) => request.header(http::header::AUTHORIZATION, header),
                None => request,
            }
        }
    };
    let response = error::answer("Get", realm, request).await?;
    if !response.status().is_success() {
        return Err(error::refused(response).await);
    }
    let bytes = error::limited(response, MAX_ANSWER).await?;
    let answer: TokenAnswer = serde_json::from_slice(&bytes)
        .map_err(|_| RemoteError::Protocol(format!("{realm} gave no token")))?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| {
        RemoteError::Protocol("authorization server did not include a token in the response".into())
    })?;
    let header = format!("Bearer {token}");
    Ok(Token { header, until: Instant::now() + usable_for(answer.expires_in) })
}

/// How long a token is used that is said to end after so many seconds.
fn usable_for(expires_in: Option<u64>) -> Duration {
    let life = expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
    life.clamp(DEFAULT_LIFE, LONGEST_LIFE).saturating_sub(MARGIN)
}

fn query(parts: &[(&str, &str)]) -> String {
    let escape = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let parts = parts.iter().filter(|(_, value)| !value.is_empty());
    parts.map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer =
            r#"Bearer realm="https://auth.example/token?a=b",service="r.example",scope="x,y""#;
        assert_eq!(
            Challenge::parse(bearer),
            Some(Challenge::Bearer {
                realm: "https://auth.example/token?a=b".into(),
                service: "r.example".into()
            })
        );
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("basic"), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer service=x"), None);
    }

    #[test]
    fn a_token_is_used_for_a_sane_time() {
        for (said, seconds) in
            [(None, 50), (Some(0), 50), (Some(300), 290), (Some(u64::MAX), 24 * 60 * 60 - 10)]
        {
            assert_eq!(usable_for(said), Duration::from_secs(seconds), "{said:?}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let auth = Auth::Basic { username: "u".into(), password: "hidden".into() };
        assert_eq!(
            format!("{auth:?} {:?}", Auth::IdentityToken("hidden".into())),
            "Basic(u) IdentityToken"
        );
    }
}
