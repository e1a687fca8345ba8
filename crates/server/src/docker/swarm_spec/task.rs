//! What one task runs.

use serde_json::{Value, json};
use shoal_model::swarm::TaskSpec;

use super::super::documents::DriverDocument;
use super::super::error::{ApiError, Result};
use super::super::wire::wire;
use super::{
    NetworkDocument, container, placement, read_driver, render_driver, render_network, resources,
    restart, set, set_list,
};

wire!(
    /// `TaskTemplate`.
    TaskDocument {
        container: Option<container::ContainerDocument> = "ContainerSpec",
        resources: Option<resources::RequirementsDocument> = "Resources",
        restart: Option<restart::RestartDocument> = "RestartPolicy",
        placement: Option<placement::PlacementDocument> = "Placement",
        force_update: u64 = "ForceUpdate",
        runtime: String = "Runtime",
        networks: Vec<NetworkDocument> = "Networks",
        log_driver: Option<DriverDocument> = "LogDriver",
    }
);

impl TaskDocument {
    /// The task this document asks for.
    pub(super) fn into_domain(self, network_name: &dyn Fn(&str) -> String) -> Result<TaskSpec> {
        let Self {
            container,
            resources,
            restart,
            placement,
            force_update,
            runtime,
            networks,
            log_driver,
        } = self;
        if !matches!(runtime.as_str(), "" | "container") {
            return Err(ApiError::unsupported(format!("the task runtime {runtime:?}")));
        }
        let container =
            container.ok_or_else(|| ApiError::invalid("the service has no ContainerSpec"))?;
        // Limits of processes stand in either place; the container's own wins.
        Ok(TaskSpec {
            container: container.into_domain()?,
            resources: resources.map(resources::RequirementsDocument::into_domain).transpose()?,
            restart: restart.map(restart::RestartDocument::into_domain).transpose()?,
            placement: placement.map(placement::PlacementDocument::into_domain),
            log_driver: log_driver.map(read_driver),
            networks: networks
                .into_iter()
                .map(|network| network.into_domain(network_name))
                .collect(),
            force_update,
        })
    }
}

/// A task's spec as Docker shows it.
pub(crate) fn render_task_spec(spec: &TaskSpec) -> Value {
    let TaskSpec { container, resources, restart, placement, log_driver, networks, force_update } =
        spec;
    let mut document = json!({
        "ContainerSpec": container::render_container(container),
        "ForceUpdate": force_update,
        "Runtime": "container",
    });
    set(&mut document, "Resources", resources.as_ref().map(resources::render_requirements));
    set(&mut document, "RestartPolicy", restart.as_ref().map(restart::render_restart));
    set(&mut document, "Placement", placement.as_ref().map(placement::render_placement));
    set(&mut document, "LogDriver", log_driver.as_ref().map(render_driver));
    set_list(&mut document, "Networks", networks.is_empty(), || {
        networks.iter().map(render_network).collect()
    });
    document
}
