//! What an applied batch did, for watchers.

use std::sync::Arc;

use shoal_model::swarm::{Cluster, Config, Node, Secret, Service, Task};

/// Any object of the store.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// The cluster.
    Cluster(Arc<Cluster>),
    /// A node.
    Node(Arc<Node>),
    /// A service.
    Service(Arc<Service>),
    /// A task.
    Task(Arc<Task>),
    /// A secret.
    Secret(Arc<Secret>),
    /// A config.
    Config(Arc<Config>),
}

/// What happened to an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It is new.
    Created(Object),
    /// It was changed.
    Updated {
        /// Before.
        old: Object,
        /// After.
        new: Object,
    },
    /// It is gone; this is how it was.
    Removed(Object),
}

impl Event {
    /// The object after the event; before it, if it was removed.
    pub fn object(&self) -> &Object {
        match self {
            Self::Created(object) | Self::Removed(object) => object,
            Self::Updated { new, .. } => new,
        }
    }
}
