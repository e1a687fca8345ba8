//! What the control API may ask for, and what the store makes of it.
//!
//! A command is checked against one snapshot and turned into changes; the
//! changes are strict, so a race with another command is found again when
//! they are applied. Must not know: HTTP, gRPC, consensus.

mod cluster_create;
mod cluster_update;
mod error;
mod node_join;
mod node_remove;
mod node_update;
mod secret;
mod service_create;
mod service_remove;
mod service_scale;
mod service_update;
mod validate;

use shoal_model::swarm::{
    Cluster, ClusterSpec, ConfigSpec, NodeRole, NodeSpec, SecretSpec, ServiceSpec, Version,
};
use shoal_model::{ConfigId, SecretId, ServiceId, SwarmNodeId, Timestamp};

pub use cluster_update::check_new_cluster;
pub use error::CommandError;
pub use node_join::NewNode;

use crate::{
    Rng,
    store::{Change, Store},
};

/// What the control API may ask for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `swarm init`: the first object of all.
    CreateCluster(Box<Cluster>),
    /// `swarm update`, `swarm join-token --rotate`.
    UpdateCluster {
        /// The version the caller has seen.
        version: Version,
        /// The settings from now on.
        spec: Box<ClusterSpec>,
        /// A new worker token, if it shall be replaced.
        new_worker_token: Option<String>,
        /// A new manager token, if it shall be replaced.
        new_manager_token: Option<String>,
    },
    /// A node showed a valid token and asks for its certificate.
    JoinNode(Box<NewNode>),
    /// `node update`, `promote`, `demote`.
    UpdateNode {
        /// The node.
        node: SwarmNodeId,
        /// The version the caller has seen.
        version: Version,
        /// Its spec from now on.
        spec: NodeSpec,
    },
    /// `node rm`.
    RemoveNode {
        /// The node.
        node: SwarmNodeId,
        /// Even if it is not down.
        force: bool,
    },
    /// `service create`.
    CreateService(Box<ServiceSpec>),
    /// `service update`.
    UpdateService {
        /// The service.
        service: ServiceId,
        /// The version the caller has seen.
        version: Version,
        /// Its spec from now on.
        spec: Box<ServiceSpec>,
        /// Whose registry credentials to use if the spec brings none.
        registry_auth_from: RegistryAuthFrom,
    },
    /// `service rollback`.
    RollBackService {
        /// The service.
        service: ServiceId,
        /// The version the caller has seen.
        version: Version,
    },
    /// `service scale`, without the caller having to read the spec first.
    ScaleService {
        /// The service.
        service: ServiceId,
        /// Tasks wanted.
        replicas: u64,
    },
    /// `service rm`.
    RemoveService(ServiceId),
    /// `secret create`.
    CreateSecret(SecretSpec),
    /// `secret update` (labels only).
    UpdateSecret {
        /// The secret.
        secret: SecretId,
        /// The version the caller has seen.
        version: Version,
        /// Its spec from now on.
        spec: SecretSpec,
    },
    /// `secret rm`.
    RemoveSecret(SecretId),
    /// `config create`.
    CreateConfig(ConfigSpec),
    /// `config update` (labels only).
    UpdateConfig {
        /// The config.
        config: ConfigId,
        /// The version the caller has seen.
        version: Version,
        /// Its spec from now on.
        spec: ConfigSpec,
    },
    /// `config rm`.
    RemoveConfig(ConfigId),
}

/// Whose registry credentials an updated service uses if the new spec brings
/// none (`registryAuthFrom` of the Docker API).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RegistryAuthFrom {
    /// The current spec's.
    #[default]
    Spec,
    /// The previous spec's.
    PreviousSpec,
}

/// What a command does, if the consensus takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// To be applied as **one** batch.
    pub changes: Vec<Change>,
    /// What to tell the caller once they were applied.
    pub outcome: Outcome,
}

/// What a caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// This service was created.
    Service(ServiceId),
    /// This node was let in, in this role.
    Node(SwarmNodeId, NodeRole),
    /// This secret was created.
    Secret(SecretId),
    /// This config was created.
    Config(ConfigId),
}

/// Checks a command against the state and says what would change.
///
/// # Errors
/// The command does not make sense in this state; nothing changes.
pub fn decide(
    view: &Store,
    command: Command,
    now: Timestamp,
    rng: &mut Rng,
) -> Result<Decision, CommandError> {
    match command {
        Command::CreateCluster(cluster) => cluster_create::decide(view, *cluster),
        Command::UpdateCluster { version, spec, new_worker_token, new_manager_token } => {
            cluster_update::decide(view, version, *spec, new_worker_token, new_manager_token)
        }
        Command::JoinNode(node) => node_join::decide(view, *node),
        Command::UpdateNode { node, version, spec } => {
            node_update::decide(view, &node, version, spec)
        }
        Command::RemoveNode { node, force } => node_remove::decide(view, &node, force, now),
        Command::CreateService(spec) => service_create::decide(view, *spec, rng),
        Command::UpdateService { service, version, spec, registry_auth_from } => {
            service_update::decide(view, &service, version, *spec, registry_auth_from)
        }
        Command::RollBackService { service, version } => {
            service_update::roll_back(view, &service, version, now)
        }
        Command::ScaleService { service, replicas } => {
            service_scale::decide(view, &service, replicas)
        }
        Command::RemoveService(service) => service_remove::decide(view, &service),
        Command::CreateSecret(spec) => secret::create_secret(view, spec, rng),
        Command::UpdateSecret { secret, version, spec } => {
            secret::update_secret(view, &secret, version, spec)
        }
        Command::RemoveSecret(id) => secret::remove_secret(view, &id),
        Command::CreateConfig(spec) => secret::create_config(view, spec, rng),
        Command::UpdateConfig { config, version, spec } => {
            secret::update_config(view, &config, version, spec)
        }
        Command::RemoveConfig(id) => secret::remove_config(view, &id),
    }
}

impl Decision {
    fn done(changes: Vec<Change>) -> Self {
        Self { changes, outcome: Outcome::Done }
    }
}

#[cfg(test)]
mod tests;
