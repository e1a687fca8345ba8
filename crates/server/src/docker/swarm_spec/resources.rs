//! Limits and reservations.

use serde_json::{Value, json};
use shoal_model::swarm::{GenericResource, ResourceLimits, ResourceRequirements, Resources};

use super::super::error::{ApiError, Result};
use super::super::wire::wire;
use super::{set, set_list};

wire!(
    /// `Resources` of a task.
    RequirementsDocument {
        limits: Option<LimitsDocument> = "Limits",
        reservations: Option<ReservationsDocument> = "Reservations",
    }
);

wire!(
    /// `Limits`.
    LimitsDocument {
        nano_cpus: i64 = "NanoCPUs",
        memory_bytes: i64 = "MemoryBytes",
        pids: i64 = "Pids",
    }
);

wire!(
    /// `Reservations`.
    ReservationsDocument {
        nano_cpus: i64 = "NanoCPUs",
        memory_bytes: i64 = "MemoryBytes",
        generic: Vec<GenericDocument> = "GenericResources",
    }
);

wire!(
    /// One of `GenericResources`.
    GenericDocument {
        named: Option<NamedDocument> = "NamedResourceSpec",
        discrete: Option<DiscreteDocument> = "DiscreteResourceSpec",
    }
);

wire!(
    /// One thing of a kind.
    NamedDocument { kind: String = "Kind", value: String = "Value" }
);

wire!(
    /// A number of things of a kind.
    DiscreteDocument { kind: String = "Kind", value: i64 = "Value" }
);

impl RequirementsDocument {
    /// The requirements this document states.
    pub(super) fn into_domain(self) -> Result<ResourceRequirements> {
        let Self { limits, reservations } = self;
        Ok(ResourceRequirements {
            limits: limits.map(LimitsDocument::into_domain),
            reservations: reservations.map(ReservationsDocument::into_domain).transpose()?,
        })
    }
}

impl LimitsDocument {
    fn into_domain(self) -> ResourceLimits {
        let Self { nano_cpus, memory_bytes, pids } = self;
        ResourceLimits { nano_cpus, memory_bytes, pids }
    }
}

impl ReservationsDocument {
    fn into_domain(self) -> Result<Resources> {
        let Self { nano_cpus, memory_bytes, generic } = self;
        let generic =
            generic.into_iter().map(GenericDocument::into_domain).collect::<Result<_>>()?;
        Ok(Resources { nano_cpus, memory_bytes, generic })
    }
}

impl GenericDocument {
    fn into_domain(self) -> Result<GenericResource> {
        match (self.named, self.discrete) {
            (Some(NamedDocument { kind, value }), None) => {
                Ok(GenericResource::Named { kind, value })
            }
            (None, Some(DiscreteDocument { kind, value })) => {
                Ok(GenericResource::Discrete { kind, value })
            }
            _ => Err(ApiError::invalid("a generic resource is either named or discrete")),
        }
    }
}

/// Requirements as Docker shows them.
pub(super) fn render_requirements(requirements: &ResourceRequirements) -> Value {
    let ResourceRequirements { limits, reservations } = requirements;
    let mut document = json!({});
    set(&mut document, "Limits", limits.as_ref().map(render_limits));
    set(&mut document, "Reservations", reservations.as_ref().map(render_resources));
    document
}

fn render_limits(limits: &ResourceLimits) -> Value {
    let ResourceLimits { nano_cpus, memory_bytes, pids } = limits;
    let mut document = json!({});
    for (key, value) in [("NanoCPUs", nano_cpus), ("MemoryBytes", memory_bytes), ("Pids", pids)] {
        set(&mut document, key, (*value != 0).then(|| json!(value)));
    }
    document
}

/// An amount of resources as Docker shows it.
pub(super) fn render_resources(resources: &Resources) -> Value {
    let Resources { nano_cpus, memory_bytes, generic } = resources;
    let mut document = json!({});
    for (key, value) in [("NanoCPUs", nano_cpus), ("MemoryBytes", memory_bytes)] {
        set(&mut document, key, (*value != 0).then(|| json!(value)));
    }
    set_list(&mut document, "GenericResources", generic.is_empty(), || {
        generic.iter().map(render_generic).collect()
    });
    document
}

fn render_generic(resource: &GenericResource) -> Value {
    match resource {
        GenericResource::Named { kind, value } => {
            json!({ "NamedResourceSpec": { "Kind": kind, "Value": value } })
        }
        GenericResource::Discrete { kind, value } => {
            json!({ "DiscreteResourceSpec": { "Kind": kind, "Value": value } })
        }
    }
}
