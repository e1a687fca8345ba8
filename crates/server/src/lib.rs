//! HTTP front doors: the Docker Engine API and the registry.
//!
//! The only crate that sees both wire and domain types. A front door owns no
//! state and never calls another one: whatever one of them creates, the
//! others show, because both ask the same engine.
#![forbid(unsafe_code)]

pub mod docker;
pub mod registry;
