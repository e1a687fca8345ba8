//! What a service spec must look like. The texts are SwarmKit's.

use std::collections::BTreeSet;

use shoal_model::swarm::{
    Annotations, ConfigTarget, ContainerSpec, EndpointMode, EndpointSpec, MountKind, PublishMode,
    ResourceRequirements, ServiceMode, ServiceSpec, TaskSpec, UpdateConfig,
};
use shoal_model::{Reference, ServiceId};

use super::CommandError;
use crate::constraint::Constraint;
use crate::store::Store;

/// Characters of a name that may become a DNS label.
const MAX_NAME: usize = 63;
/// Characters of a secret's or config's name.
const MAX_FILE_NAME: usize = 64;
/// The least share of a processor that can be asked for: a thousandth.
const MIN_NANO_CPUS: i64 = 1_000_000;
/// The least memory a container can live in.
const MIN_MEMORY_BYTES: i64 = 4 * 1024 * 1024;
/// Replicas of one service at most. Far beyond what one cluster runs; keeps a
/// slip of the finger from filling the managers' memory.
const MAX_REPLICAS: u64 = 100_000;

/// Checks a service spec; `updated` is the service it is for, if it exists.
pub(super) fn service(
    view: &Store,
    spec: &ServiceSpec,
    updated: Option<&ServiceId>,
) -> Result<(), CommandError> {
    annotations(&spec.annotations)?;
    task(&spec.task)?;
    mode(&spec.mode)?;
    update(spec.update.as_ref())?;
    update(spec.rollback.as_ref())?;
    endpoint(spec.endpoint.as_ref())?;
    references(view, &spec.task.container)?;
    port_conflicts(view, spec, updated)
}

fn invalid<T>(text: impl Into<String>) -> Result<T, CommandError> {
    Err(CommandError::Invalid(text.into()))
}

fn missing<T>(what: impl Into<String>) -> Result<T, CommandError> {
    Err(CommandError::NotImplemented(what.into()))
}

/// The name of a service becomes a DNS name.
fn annotations(annotations: &Annotations) -> Result<(), CommandError> {
    let name = &annotations.name;
    if name.is_empty() {
        return invalid("meta: name must be provided");
    }
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.chars().all(inner) || !end(name.chars().next()) || !end(name.chars().last()) {
        return invalid("name must be valid as a DNS name component");
    }
    if name.len() > MAX_NAME {
        return invalid("name must be 63 characters or fewer");
    }
    Ok(())
}

/// The name of a secret or config becomes a file name.
pub(super) fn file_annotations(annotations: &Annotations) -> Result<(), CommandError> {
    let name = &annotations.name;
    if name.is_empty() {
        return invalid("name must be provided");
    }
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.len() > MAX_FILE_NAME
        || !name.chars().all(inner)
        || !end(name.chars().next())
        || !end(name.chars().last())
    {
        return invalid(
            "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end \
             character must be [a-zA-Z0-9]",
        );
    }
    Ok(())
}

pub(super) fn mode(mode: &ServiceMode) -> Result<(), CommandError> {
    match mode {
        ServiceMode::Replicated { replicas } if *replicas > MAX_REPLICAS => {
            invalid(format!("more than {MAX_REPLICAS} replicas are not possible"))
        }
        ServiceMode::Replicated { .. } | ServiceMode::Global => Ok(()),
        ServiceMode::ReplicatedJob { .. } => missing("service mode replicated-job is"),
        ServiceMode::GlobalJob => missing("service mode global-job is"),
    }
}

fn task(spec: &TaskSpec) -> Result<(), CommandError> {
    resources(spec.resources.as_ref())?;
    if let Some(placement) = &spec.placement {
        for text in &placement.constraints {
            Constraint::parse(text).map_err(|error| CommandError::Invalid(error.to_string()))?;
        }
    }
    for network in &spec.networks {
        if !network.is_predefined() {
            return missing(format!("attaching a service to network {} is", network.target));
        }
    }
    container(&spec.container)
}

fn container(spec: &ContainerSpec) -> Result<(), CommandError> {
    if spec.image.is_empty() {
        return invalid("ContainerSpec: image reference must be provided");
    }
    if spec.image.parse::<Reference>().is_err() {
        return invalid(format!("ContainerSpec: {:?} is not a valid repository/tag", spec.image));
    }
    let mut targets = BTreeSet::new();
    for mount in &spec.mounts {
        if !targets.insert(&mount.target) {
            return invalid(format!("ContainerSpec: duplicate mount point: {}", mount.target));
        }
        match mount.kind {
            MountKind::Bind | MountKind::Volume | MountKind::Tmpfs => {}
            MountKind::NamedPipe => return missing("mounts of type npipe are"),
            MountKind::Cluster => return missing("mounts of type cluster are"),
        }
    }
    if spec.privileges.as_ref().is_some_and(|p| p.credential_spec.is_some()) {
        return missing("credential specs are");
    }
    Ok(())
}

fn resources(requirements: Option<&ResourceRequirements>) -> Result<(), CommandError> {
    let Some(ResourceRequirements { limits, reservations }) = requirements else {
        return Ok(());
    };
    let limits = limits.as_ref().map(|limits| (limits.nano_cpus, limits.memory_bytes));
    let reserved = reservations.as_ref().map(|r| (r.nano_cpus, r.memory_bytes));
    for (nano_cpus, memory) in limits.into_iter().chain(reserved) {
        if nano_cpus != 0 && nano_cpus < MIN_NANO_CPUS {
            return invalid(format!(
                "invalid cpu value {}: Must be at least {}",
                nano_cpus as f64 / 1e9,
                MIN_NANO_CPUS as f64 / 1e9
            ));
        }
        if memory != 0 && memory < MIN_MEMORY_BYTES {
            return invalid(format!("invalid memory value {memory}: Must be at least 4MiB"));
        }
    }
    if reservations.as_ref().is_some_and(|r| !r.generic.is_empty()) {
        return missing("reservations of generic resources are");
    }
    Ok(())
}

fn update(config: Option<&UpdateConfig>) -> Result<(), CommandError> {
    let Some(config) = config else { return Ok(()) };
    if !(0.0..=1.0).contains(&config.max_failure_ratio) {
        return invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1");
    }
    Ok(())
}

fn endpoint(spec: Option<&EndpointSpec>) -> Result<(), CommandError> {
    let Some(spec) = spec else { return Ok(()) };
    let mut published = BTreeSet::new();
    for port in &spec.ports {
        let ingress = port.publish_mode == PublishMode::Ingress;
        if ingress && spec.mode == EndpointMode::DnsRoundRobin {
            return invalid(
                "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
            );
        }
        let key = (port.protocol, port.published_port, port.publish_mode as u8);
        if port.published_port != 0 && !published.insert(key) {
            return invalid("EndpointSpec: duplicate published ports provided");
        }
        if port.target_port == 0 {
            return invalid("EndpointSpec: target port must be given");
        }
        if ingress {
            return missing(format!(
                "publishing port {} through the routing mesh (use mode=host instead) is",
                port.target_port
            ));
        }
    }
    Ok(())
}

/// Secrets and configs must exist and must not land on one another.
fn references(view: &Store, spec: &ContainerSpec) -> Result<(), CommandError> {
    let mut targets = std::collections::BTreeMap::new();
    for used in &spec.secrets {
        if view.secret(&used.secret_id).is_none() {
            return invalid(format!("secret not found: {}", used.secret_name));
        }
        if let Some(other) = targets.insert(&used.file.name, &used.secret_name) {
            return invalid(format!(
                "secret references '{other}' and '{}' have a conflicting target: '{}'",
                used.secret_name, used.file.name
            ));
        }
    }
    targets.clear();
    for used in &spec.configs {
        if view.config(&used.config_id).is_none() {
            return invalid(format!("config not found: {}", used.config_name));
        }
        let ConfigTarget::File(file) = &used.target else {
            return missing("configs read by the runtime are");
        };
        if let Some(other) = targets.insert(&file.name, &used.config_name) {
            return invalid(format!(
                "config references '{other}' and '{}' have a conflicting target: '{}'",
                used.config_name, file.name
            ));
        }
    }
    Ok(())
}

/// A port of the routing mesh belongs to one service; a host port does, too,
/// against one that is published by the mesh.
fn port_conflicts(
    view: &Store,
    spec: &ServiceSpec,
    updated: Option<&ServiceId>,
) -> Result<(), CommandError> {
    let Some(endpoint) = &spec.endpoint else { return Ok(()) };
    let others = view.services().filter(|service| Some(&service.id) != updated);
    for service in others {
        for taken in service.spec.endpoint.iter().flat_map(|endpoint| &endpoint.ports) {
            let clash = endpoint.ports.iter().any(|port| {
                port.published_port != 0
                    && port.published_port == taken.published_port
                    && port.protocol == taken.protocol
                    && (port.publish_mode == PublishMode::Ingress
                        || taken.publish_mode == PublishMode::Ingress)
            });
            if clash {
                return invalid(format!(
                    "port '{}' is already in use by service '{}' ({})",
                    taken.published_port, service.spec.annotations.name, service.id
                ));
            }
        }
    }
    Ok(())
}
