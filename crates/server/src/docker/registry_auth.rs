//! Credentials as clients send them: base64 of JSON in a header.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use serde_json::Value;
use shoal_image::Auth;

use super::error::{ApiError, Result};
use super::wire::{At, Wire, wire};

/// Clients differ in alphabet and padding; both are told apart by trying.
const ENGINES: [GeneralPurpose; 2] = [lenient(&alphabet::URL_SAFE), lenient(&alphabet::STANDARD)];

const fn lenient(alphabet: &alphabet::Alphabet) -> GeneralPurpose {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}

wire!(
    /// `AuthConfig`.
    AuthDocument {
        username: String = "username",
        password: String = "password",
        auth: String = "auth",
        email: String = "email",
        server: String = "serveraddress",
        identity_token: String = "identitytoken",
        registry_token: String = "registrytoken",
    }
);

impl AuthDocument {
    /// Who this document says one is.
    ///
    /// # Errors
    /// `Invalid` for an `auth` that is not base64 of `user:password`.
    pub(crate) fn into_domain(self) -> Result<Auth> {
        // Docker has ignored the address of a mailbox since 2015.
        let _ = self.email;
        if !self.registry_token.is_empty() {
            return Ok(Auth::RegistryToken(self.registry_token));
        }
        if !self.identity_token.is_empty() {
            return Ok(Auth::IdentityToken(self.identity_token));
        }
        if !self.username.is_empty() || !self.password.is_empty() {
            return Ok(Auth::Basic { username: self.username, password: self.password });
        }
        if self.auth.is_empty() {
            return Ok(Auth::Anonymous);
        }
        let bad = || ApiError::invalid("invalid registry auth: \"auth\" is not user:password");
        let pair = String::from_utf8(decode(&self.auth).ok_or_else(bad)?).map_err(|_| bad())?;
        let (username, password) = pair.split_once(':').ok_or_else(bad)?;
        Ok(Auth::Basic { username: username.to_owned(), password: password.to_owned() })
    }
}

/// The credentials in `X-Registry-Auth`; none or an empty one is nobody.
///
/// # Errors
/// `Invalid` when the header cannot be read.
pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Auth> {
    match text(headers, "x-registry-auth") {
        Some(text) => from_text(text),
        None => Ok(Auth::Anonymous),
    }
}

/// The value of `X-Registry-Auth` as it came, to be kept with a service.
pub(crate) fn raw(headers: &HeaderMap) -> Option<&str> {
    text(headers, "x-registry-auth")
}

/// The credentials in such a value.
///
/// # Errors
/// `Invalid` when it cannot be read.
pub(crate) fn from_text(text: &str) -> Result<Auth> {
    if text.is_empty() {
        return Ok(Auth::Anonymous);
    }
    parse::<AuthDocument>(text, "X-Registry-Auth")?.into_domain()
}

/// The credentials in a value of `X-Registry-Auth`, for whoever kept one.
///
/// # Errors
/// Why it cannot be read.
pub fn parse_registry_auth(text: &str) -> std::result::Result<Auth, String> {
    from_text(text).map_err(|error| error.message().to_owned())
}

/// The credentials of all registries in `X-Registry-Config`.
///
/// # Errors
/// `Invalid` when the header cannot be read.
pub(crate) fn all_from_headers(headers: &HeaderMap) -> Result<Vec<(String, Auth)>> {
    let Some(text) = text(headers, "x-registry-config") else { return Ok(Vec::new()) };
    let documents =
        parse::<std::collections::BTreeMap<String, AuthDocument>>(text, "X-Registry-Config")?;
    documents.into_iter().map(|(server, document)| Ok((server, document.into_domain()?))).collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty())
}

fn parse<T: Wire>(text: &str, name: &str) -> Result<T> {
    let bad = |why: &str| ApiError::invalid(format!("invalid {name} header: {why}"));
    let bytes = decode(text).ok_or_else(|| bad("not base64"))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| bad("not JSON"))?;
    Ok(T::read_or_default(value, &At::ROOT)?)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    ENGINES.iter().find_map(|engine| engine.decode(text.trim()).ok())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE};

    use super::*;

    #[test]
    fn credentials_come_in_many_forms() {
        let basic = Auth::Basic { username: "u?>".into(), password: "p".into() };
        let plain = r#"{"username":"u?>","password":"p","serveraddress":"x:5000"}"#;
        assert_eq!(from_text(&URL_SAFE.encode(plain)).expect("url safe"), basic);
        assert_eq!(from_text(&STANDARD_NO_PAD.encode(plain)).expect("standard"), basic);
        let auth = format!(r#"{{"auth":"{}"}}"#, URL_SAFE.encode("u?>:p"));
        assert_eq!(from_text(&URL_SAFE.encode(auth)).expect("auth"), basic);
        assert_eq!(from_text(&URL_SAFE.encode("{}")).expect("nobody"), Auth::Anonymous);
        assert_eq!(from_text(&URL_SAFE.encode("null")).expect("nobody"), Auth::Anonymous);
        assert!(from_text("!").is_err() && from_text(&URL_SAFE.encode("[]")).is_err());
    }
}
