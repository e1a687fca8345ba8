//! Between the wire's messages and the domain's objects.
//!
//! Every conversion takes its input apart completely: a new field on either side breaks the
//! build here and nowhere else. What a peer sends is checked on the way in; what it leaves out
//! is zero, as protobuf has it.

mod container;
mod mount;
mod network;
mod node;
mod privileges;
mod secret;
mod task;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use shoal_model::Timestamp;
use shoal_model::swarm::{Annotations, Driver, GenericResource, Meta, Resources, Version};

use crate::wire;

pub use network::{port_from_wire, port_to_wire};
pub(crate) use node::{certificate_to_wire, issuance_to_wire};
pub use node::{description_from_wire, description_to_wire, node_to_wire};
pub use secret::{config_from_wire, config_to_wire, secret_from_wire, secret_to_wire};
pub use task::{status_from_wire, status_to_wire, task_from_wire, task_to_wire};

/// A message that makes no sense in the domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct ConvertError {
    /// Which part of the message.
    pub what: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl ConvertError {
    fn new(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self { what, why: why.to_string() }
    }

    fn missing(what: &'static str) -> Self {
        Self { what, why: "missing".to_owned() }
    }
}

/// A time as the wire has it; also for log lines.
pub fn timestamp_to_wire(time: Timestamp) -> wire::Timestamp {
    // Below one second, so it fits.
    wire::Timestamp { seconds: time.seconds(), nanos: time.subsec_nanos() as i32 }
}

/// A time from the wire.
pub fn timestamp_from_wire(time: wire::Timestamp) -> Timestamp {
    let wire::Timestamp { seconds, nanos } = time;
    let whole = Timestamp::from_seconds(seconds).nanos();
    Timestamp::from_nanos(whole.saturating_add(i64::from(nanos)))
}

/// A duration as the wire has it; also for the dispatcher's heartbeat period.
pub fn duration_to_wire(duration: Duration) -> wire::Duration {
    wire::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos() as i32,
    }
}

/// A duration from the wire; a negative one is zero.
pub fn duration_from_wire(duration: wire::Duration) -> Duration {
    let wire::Duration { seconds, nanos } = duration;
    let nanos = u32::try_from(nanos).unwrap_or(0).min(999_999_999);
    u64::try_from(seconds).map_or(Duration::ZERO, |seconds| Duration::new(seconds, nanos))
}

fn map_to_wire(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn map_from_wire(map: HashMap<String, String>) -> BTreeMap<String, String> {
    map.into_iter().collect()
}

fn annotations_to_wire(annotations: &Annotations) -> wire::Annotations {
    let Annotations { name, labels } = annotations;
    wire::Annotations { name: name.clone(), labels: map_to_wire(labels), indices: Vec::new() }
}

fn annotations_from_wire(annotations: Option<wire::Annotations>) -> Annotations {
    // Indices are SwarmKit's own search keys.
    let wire::Annotations { name, labels, indices: _ } = annotations.unwrap_or_default();
    Annotations { name, labels: map_from_wire(labels) }
}

fn meta_to_wire(meta: &Meta) -> wire::Meta {
    let Meta { version, created_at, updated_at } = *meta;
    wire::Meta {
        version: Some(version_to_wire(version)),
        created_at: Some(timestamp_to_wire(created_at)),
        updated_at: Some(timestamp_to_wire(updated_at)),
    }
}

fn meta_from_wire(meta: Option<wire::Meta>) -> Meta {
    let wire::Meta { version, created_at, updated_at } = meta.unwrap_or_default();
    Meta {
        version: version_from_wire(version),
        created_at: timestamp_from_wire(created_at.unwrap_or_default()),
        updated_at: timestamp_from_wire(updated_at.unwrap_or_default()),
    }
}

fn version_to_wire(version: Version) -> wire::Version {
    let Version(index) = version;
    wire::Version { index }
}

fn version_from_wire(version: Option<wire::Version>) -> Version {
    let wire::Version { index } = version.unwrap_or_default();
    Version(index)
}

fn driver_to_wire(driver: &Driver) -> wire::Driver {
    let Driver { name, options } = driver;
    wire::Driver { name: name.clone(), options: map_to_wire(options) }
}

fn driver_from_wire(driver: wire::Driver) -> Driver {
    let wire::Driver { name, options } = driver;
    Driver { name, options: map_from_wire(options) }
}

fn resources_to_wire(resources: &Resources) -> wire::Resources {
    let Resources { nano_cpus, memory_bytes, generic } = resources;
    wire::Resources {
        nano_cpus: *nano_cpus,
        memory_bytes: *memory_bytes,
        generic: generic.iter().map(generic_to_wire).collect(),
    }
}

fn resources_from_wire(resources: wire::Resources) -> Resources {
    let wire::Resources { nano_cpus, memory_bytes, generic } = resources;
    let generic = generic.into_iter().filter_map(generic_from_wire).collect();
    Resources { nano_cpus, memory_bytes, generic }
}

fn generic_to_wire(resource: &GenericResource) -> wire::GenericResource {
    use wire::generic_resource::Resource;
    let resource = match resource.clone() {
        GenericResource::Named { kind, value } => {
            Resource::Named(wire::NamedGenericResource { kind, value })
        }
        GenericResource::Discrete { kind, value } => {
            Resource::Discrete(wire::DiscreteGenericResource { kind, value })
        }
    };
    wire::GenericResource { resource: Some(resource) }
}

/// `None` for an empty message: nothing was said.
fn generic_from_wire(resource: wire::GenericResource) -> Option<GenericResource> {
    use wire::generic_resource::Resource;
    let wire::GenericResource { resource } = resource;
    Some(match resource? {
        Resource::Named(wire::NamedGenericResource { kind, value }) => {
            GenericResource::Named { kind, value }
        }
        Resource::Discrete(wire::DiscreteGenericResource { kind, value }) => {
            GenericResource::Discrete { kind, value }
        }
    })
}
