//! Further processes in running containers.

use shoal_model::ExecId;

use crate::domain::{CreateExec, ExecView, StartExec, TerminalSize};
use crate::error::ExecError;
use crate::stream::Attached;

/// The execs of a node. Cheap to clone; all clones are one set.
#[derive(Debug, Clone)]
pub struct Execs {}

impl Execs {
    /// Prepares a process in a running container.
    ///
    /// # Errors
    /// The container does not run, is paused, or is not there.
    pub fn create(&self, container: &str, request: CreateExec) -> Result<ExecId, ExecError> {
        let _ = (container, request);
        todo!()
    }

    /// Runs it; the connection is `None` when detached. It has started when this returns.
    ///
    /// # Errors
    /// It was started before; its program cannot be run; the container does not run.
    pub async fn start(&self, id: &str, options: StartExec) -> Result<Option<Attached>, ExecError> {
        let _ = (id, options);
        todo!()
    }

    /// Everything about one exec.
    ///
    /// # Errors
    /// There is none of that id.
    pub fn inspect(&self, id: &str) -> Result<ExecView, ExecError> {
        let _ = id;
        todo!()
    }

    /// Sets the size of its terminal.
    ///
    /// # Errors
    /// It does not run.
    pub async fn resize(&self, id: &str, size: TerminalSize) -> Result<(), ExecError> {
        let _ = (id, size);
        todo!()
    }
}
