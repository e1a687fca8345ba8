//! Sets the size of execs' terminals.

use shoal_runtime::protocol::Operation;

use super::Execs;
use super::table::ExecState;
use crate::container::window;
use crate::domain::TerminalSize;
use crate::error::ExecError;

impl Execs {
    /// Sets the size of its terminal.
    ///
    /// # Errors
    /// It does not run.
    pub async fn resize(&self, id: &str, size: TerminalSize) -> Result<(), ExecError> {
        let exec = self.containers.execs.get(id)?;
        let ExecState::Running { .. } = exec.state() else {
            return Err(ExecError::Conflict(format!("exec {id} is not running")));
        };
        let container = self.containers.table.find(exec.container.as_str())?;
        let operation = Operation::Resize { exec: Some(exec.id.to_string()), size: window(size) };
        Ok(self.containers.ask(&container, operation).await?)
    }
}
