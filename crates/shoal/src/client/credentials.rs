//! Name and password at a registry, and how the API takes them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

/// Who one is at a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The user's name.
    pub(crate) username: String,
    /// The password or token.
    pub(crate) password: String,
    /// A token that takes both their places.
    pub(crate) identity_token: String,
    /// The registry.
    pub(crate) server: String,
}

impl Credentials {
    /// The document the API takes.
    pub(crate) fn document(&self) -> Value {
        let mut document = json!({ "serveraddress": self.server });
        if self.identity_token.is_empty() {
            document["username"] = json!(self.username);
            document["password"] = json!(self.password);
        } else {
            document["identitytoken"] = json!(self.identity_token);
        }
        document
    }

    /// The value of `X-Registry-Auth`.
    pub(crate) fn header(&self) -> String {
        URL_SAFE.encode(self.document().to_string())
    }
}
