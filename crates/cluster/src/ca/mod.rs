//! Decisions about trust: tokens, roles, who may call what, when to renew.
//!
//! Must not know: certificates' encoding, signatures, hashes, random sources;
//! digests and secrets come in as bytes.

mod authorize;
mod base36;
mod renewal;
mod token;

pub use authorize::{Access, Denied, Peer, Right, authorize, right_for};
pub use renewal::renewal_time;
pub use token::{JoinToken, TokenError, role_for_token};
