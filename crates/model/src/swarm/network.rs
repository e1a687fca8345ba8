//! Networks as tasks see them. For now the predefined ones every node has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Networks each node has by itself: a task attached to one uses its node's.
pub const PREDEFINED_NETWORKS: [&str; 2] = ["bridge", "host"];

/// A network a service asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkAttachmentSpec {
    /// The network's **name** (a front door that was given an id looks the
    /// name up).
    pub target: String,
    /// Further names of the task in this network.
    pub aliases: Vec<String>,
    /// Options for the network's driver.
    pub driver_options: BTreeMap<String, String>,
}

/// A network a task is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkAttachment {
    /// The network's name.
    pub network: String,
    /// Addresses with prefix lengths; empty in a predefined network.
    pub addresses: Vec<String>,
    /// Further names of the task in this network.
    pub aliases: Vec<String>,
    /// Options for the network's driver.
    pub driver_options: BTreeMap<String, String>,
}

impl NetworkAttachmentSpec {
    /// Whether each node has this network by itself.
    pub fn is_predefined(&self) -> bool {
        PREDEFINED_NETWORKS.contains(&self.target.as_str())
    }
}
