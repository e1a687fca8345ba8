//! Where a task may run, and where it would rather.

use serde::{Deserialize, Serialize};

use crate::Platform;

/// Where a task may run, and where it would rather.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Placement {
    /// Conditions a node must meet, as the user wrote them:
    /// `node.role==worker`, `node.labels.disk!=hdd`.
    pub constraints: Vec<String>,
    /// Spread evenly over the values of these, first over the first.
    pub preferences: Vec<PlacementPreference>,
    /// Tasks of the service on one node at most; 0: no limit.
    pub max_replicas: u64,
    /// The image runs on one of these; empty: on any.
    pub platforms: Vec<Platform>,
}

/// Where a task would rather run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlacementPreference {
    /// Evenly over the values of a label.
    Spread {
        /// `node.labels.<key>` or `engine.labels.<key>`.
        descriptor: String,
    },
}
