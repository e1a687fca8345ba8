//! What every object of a swarm carries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The user's name and labels for an object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Annotations {
    /// The name; unique among objects of one sort. May be empty for a node.
    pub name: String,
    /// Labels, free for the user.
    pub labels: BTreeMap<String, String>,
}

impl Annotations {
    /// A name without labels.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), labels: BTreeMap::new() }
    }
}

/// A point in the history of the store. An update names the version it was
/// made from and is refused if the object has moved on since.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Version(pub u64);

/// What the store itself keeps about an object. Written by the store only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meta {
    /// Changes with every write that a user's update must not overwrite
    /// unseen (spec and role; not what the cluster observes by itself).
    pub version: Version,
    /// When the object was created.
    pub created_at: Timestamp,
    /// When the object was last written.
    pub updated_at: Timestamp,
}

/// A driver by name with its options (log drivers, volume drivers).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Driver {
    /// The driver's name; empty: the default one.
    pub name: String,
    /// Options for the driver.
    pub options: BTreeMap<String, String>,
}
