//! Secrets and configs: small files the cluster keeps for its tasks.

use serde::{Deserialize, Serialize};

use super::{Annotations, Meta};
use crate::{ConfigId, SecretId};

/// A secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its id.
    pub id: SecretId,
    /// Kept by the store.
    pub meta: Meta,
    /// What the user gave.
    pub spec: SecretSpec,
}

/// What the user gave as a secret.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecretSpec {
    /// Name and labels.
    pub annotations: Annotations,
    /// The content. Never shown, never logged.
    pub data: Vec<u8>,
}

impl std::fmt::Debug for SecretSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretSpec").field("annotations", &self.annotations).finish_non_exhaustive()
    }
}

/// A config: like a secret, without the secrecy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Its id.
    pub id: ConfigId,
    /// Kept by the store.
    pub meta: Meta,
    /// What the user gave.
    pub spec: ConfigSpec,
}

/// What the user gave as a config.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConfigSpec {
    /// Name and labels.
    pub annotations: Annotations,
    /// The content.
    pub data: Vec<u8>,
}

/// The file a secret or config becomes in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileTarget {
    /// Its name, or path.
    pub name: String,
    /// Owner, as text (`0`).
    pub uid: String,
    /// Group, as text.
    pub gid: String,
    /// Permission bits.
    pub mode: u32,
}

/// A secret a container uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRef {
    /// The secret.
    pub secret_id: SecretId,
    /// Its name, for people.
    pub secret_name: String,
    /// Where it appears.
    pub file: FileTarget,
}

/// A config a container uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigRef {
    /// The config.
    pub config_id: ConfigId,
    /// Its name, for people.
    pub config_name: String,
    /// Where it appears.
    pub target: ConfigTarget,
}

/// Where a config appears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigTarget {
    /// As a file.
    File(FileTarget),
    /// Nowhere: the runtime reads it.
    Runtime,
}
