//! Prepares execs.

use shoal_model::ExecId;

use super::Execs;
use crate::clock;
use crate::container::container::Container;
use crate::container::not_running;
use crate::container::state::Phase;
use crate::domain::CreateExec;
use crate::error::{ContainerError, ExecError};

impl Execs {
    /// Prepares a process in a running container.
    ///
    /// # Errors
    /// The container does not run, is paused, or is not there.
    pub fn create(&self, container: &str, request: CreateExec) -> Result<ExecId, ExecError> {
        let containers = &self.containers;
        let container = containers.table.find(container)?;
        check_ready(&container)?;
        if request.cmd.is_empty() {
            return Err(ExecError::Invalid("no exec command specified".into()));
        }
        let random = clock::random().map_err(ContainerError::io("cannot draw an id"))?;
        let id = ExecId::from_bytes(random);
        let line = request.cmd.join(" ");
        let attributes = [("execID", id.to_string())];
        let record = container.record();
        containers.execs.insert(id.clone(), container.id.clone(), request);
        containers.publish(&record, &format!("exec_create: {line}"), &attributes);
        Ok(id)
    }
}

/// Whether one more process can be run in a container.
pub(super) fn check_ready(container: &Container) -> Result<(), ExecError> {
    let phase = container.state.borrow().phase;
    if phase == Phase::Paused {
        return Err(ExecError::Conflict(format!(
            "container {} is paused, unpause the container before exec",
            container.id
        )));
    }
    if phase == Phase::Restarting {
        return Err(ExecError::Conflict(format!(
            "Container {} is restarting, wait until the container is running",
            container.id
        )));
    }
    if !phase.has_process() {
        return Err(not_running(&container.id).into());
    }
    Ok(())
}
