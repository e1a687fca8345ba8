//! A service's spec between the Docker API and the swarm's own objects.
//!
//! Each part of the spec has a file: its request document, the conversion
//! into the domain, and how it is shown. What is shown can be sent back
//! unchanged (`docker service update` does just that). A member the domain
//! does not have is refused by name.

pub(crate) mod cluster;
mod container;
mod defaults;
mod endpoint;
mod files;
mod health;
mod mount;
pub(crate) mod node;
mod placement;
mod privileges;
mod refuse;
mod resources;
mod restart;
mod task;
mod template;
mod update;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use shoal_cluster::CommandError;
use shoal_model::swarm::{
    Annotations, Driver, Meta, NetworkAttachmentSpec, ServiceMode, ServiceSpec, Shared,
};

pub(crate) use defaults::with_defaults;
pub(crate) use endpoint::{render_endpoint, render_port};
pub(crate) use refuse::refuse;
pub(crate) use task::render_task_spec;

use super::documents::DriverDocument;
use super::error::{ApiError, Result};
use super::wire::wire;

wire!(
    /// `POST /services/create` and `/services/{id}/update`.
    ServiceDocument {
        name: String = "Name",
        labels: BTreeMap<String, String> = "Labels",
        task: task::TaskDocument = "TaskTemplate",
        mode: Option<ModeDocument> = "Mode",
        update: Option<update::UpdateDocument> = "UpdateConfig",
        rollback: Option<update::UpdateDocument> = "RollbackConfig",
        networks: Vec<NetworkDocument> = "Networks",
        endpoint: Option<endpoint::EndpointDocument> = "EndpointSpec",
    }
);

wire!(
    /// How many tasks.
    ModeDocument {
        replicated: Option<ReplicatedDocument> = "Replicated",
        global: Option<Value> = "Global",
        replicated_job: Option<ReplicatedJobDocument> = "ReplicatedJob",
        global_job: Option<Value> = "GlobalJob",
    }
);

wire!(
    /// A number of tasks.
    ReplicatedDocument { replicas: Option<u64> = "Replicas" }
);

wire!(
    /// A number of tasks that run to their end.
    ReplicatedJobDocument {
        max_concurrent: Option<u64> = "MaxConcurrent",
        total_completions: Option<u64> = "TotalCompletions",
    }
);

wire!(
    /// A network to join.
    NetworkDocument {
        target: String = "Target",
        aliases: Vec<String> = "Aliases",
        driver_options: BTreeMap<String, String> = "DriverOpts",
    }
);

impl ServiceDocument {
    /// The spec this document asks for. `network_name` turns a network's id
    /// into its name; the domain knows networks by name.
    ///
    /// # Errors
    /// `Invalid`, naming the member that cannot be understood.
    pub(crate) fn into_domain(self, network_name: &dyn Fn(&str) -> String) -> Result<ServiceSpec> {
        let Self { name, labels, mut task, mode, update, rollback, networks, endpoint } = self;
        // Before API 1.25 networks stood beside the task.
        if task.networks.is_empty() {
            task.networks = networks;
        }
        Ok(ServiceSpec {
            annotations: Annotations { name, labels },
            task: Shared::new(task.into_domain(network_name)?),
            mode: mode.unwrap_or_default().into_domain()?,
            update: update.map(update::UpdateDocument::into_domain).transpose()?,
            rollback: rollback.map(update::UpdateDocument::into_domain).transpose()?,
            endpoint: endpoint.map(endpoint::EndpointDocument::into_domain).transpose()?,
        })
    }
}

impl ModeDocument {
    fn into_domain(self) -> Result<ServiceMode> {
        match self {
            Self { replicated: None, global: None, replicated_job: None, global_job: None } => {
                Ok(ServiceMode::default())
            }
            Self {
                replicated: Some(mode),
                global: None,
                replicated_job: None,
                global_job: None,
            } => Ok(ServiceMode::Replicated { replicas: mode.replicas.unwrap_or(1) }),
            Self { replicated: None, global: Some(_), replicated_job: None, global_job: None } => {
                Ok(ServiceMode::Global)
            }
            Self {
                replicated: None,
                global: None,
                replicated_job: Some(mode),
                global_job: None,
            } => {
                let max_concurrent = mode.max_concurrent.unwrap_or(1);
                let total_completions = mode.total_completions.unwrap_or(max_concurrent);
                Ok(ServiceMode::ReplicatedJob { max_concurrent, total_completions })
            }
            Self { replicated: None, global: None, replicated_job: None, global_job: Some(_) } => {
                Ok(ServiceMode::GlobalJob)
            }
            _ => Err(ApiError::invalid("must specify only one service mode")),
        }
    }
}

fn read_driver(document: DriverDocument) -> Driver {
    let DriverDocument { name, options } = document;
    Driver { name, options }
}

impl NetworkDocument {
    fn into_domain(self, network_name: &dyn Fn(&str) -> String) -> NetworkAttachmentSpec {
        let Self { target, aliases, driver_options } = self;
        NetworkAttachmentSpec { target: network_name(&target), aliases, driver_options }
    }
}

/// A service's spec as Docker shows it.
pub(crate) fn render_service_spec(spec: &ServiceSpec) -> Value {
    let ServiceSpec { annotations, task, mode, update, rollback, endpoint } = spec;
    let mut document = json!({
        "Name": annotations.name,
        "Labels": annotations.labels,
        "TaskTemplate": render_task_spec(task),
        "Mode": render_mode(mode),
    });
    set(&mut document, "UpdateConfig", update.as_ref().map(update::render_update));
    set(&mut document, "RollbackConfig", rollback.as_ref().map(update::render_update));
    set(&mut document, "EndpointSpec", endpoint.as_ref().map(endpoint::render_spec));
    document
}

fn render_mode(mode: &ServiceMode) -> Value {
    match mode {
        ServiceMode::Replicated { replicas } => json!({ "Replicated": { "Replicas": replicas } }),
        ServiceMode::Global => json!({ "Global": {} }),
        ServiceMode::ReplicatedJob { max_concurrent, total_completions } => json!({
            "ReplicatedJob": { "MaxConcurrent": max_concurrent, "TotalCompletions": total_completions }
        }),
        ServiceMode::GlobalJob => json!({ "GlobalJob": {} }),
    }
}

fn render_driver(driver: &Driver) -> Value {
    let Driver { name, options } = driver;
    let mut document = json!({ "Name": name });
    set_list(&mut document, "Options", options.is_empty(), || json!(options));
    document
}

fn render_network(network: &NetworkAttachmentSpec) -> Value {
    let NetworkAttachmentSpec { target, aliases, driver_options } = network;
    let mut document = json!({ "Target": target });
    set_list(&mut document, "Aliases", aliases.is_empty(), || json!(aliases));
    set_list(&mut document, "DriverOpts", driver_options.is_empty(), || json!(driver_options));
    document
}

/// What every swarm object has: id, version and times.
pub(crate) fn render_meta(id: &str, meta: &Meta) -> Value {
    json!({
        "ID": id,
        "Version": { "Index": meta.version.0 },
        "CreatedAt": meta.created_at.rfc3339_nano(),
        "UpdatedAt": meta.updated_at.rfc3339_nano(),
    })
}

/// Sets a member that is there.
pub(crate) fn set(document: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        document[key] = value;
    }
}

/// Sets a list or map that is not empty.
fn set_list(document: &mut Value, key: &str, empty: bool, value: impl FnOnce() -> Value) {
    if !empty {
        document[key] = value();
    }
}

/// Sets a text that is not empty.
fn set_text(document: &mut Value, key: &str, text: &str) {
    if !text.is_empty() {
        document[key] = json!(text);
    }
}

/// Sets a switch that is on.
fn set_flag(document: &mut Value, key: &str, on: bool) {
    if on {
        document[key] = json!(true);
    }
}

/// A refusal of what is asked for, in the words of the swarm that docker passes on.
pub(crate) fn refused(text: impl Into<String>) -> ApiError {
    ApiError::invalid(CommandError::Invalid(text.into()).docker_text())
}

/// A duration in Docker's nanoseconds.
fn duration(nanos: i64, what: &str) -> Result<Duration> {
    let nanos = u64::try_from(nanos)
        .map_err(|_| ApiError::invalid(format!("{what} cannot be negative")))?;
    Ok(Duration::from_nanos(nanos))
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
