//! Sets the size of execs' terminals.

use shoal_runtime::protocol::Operation;

use super::Execs;
use crate::container::execs::ExecState;
use crate::container::window;
use crate::domain::TerminalSize;
use crate::error::ExecError;
use crate::shim::ANSWER_DEADLINE;

impl Execs {
    /// Sets the size of its terminal.
    ///
    /// # Errors
    /// It does not run.
    pub async fn resize(&self, id: &str, size: TerminalSize) -> Result<(), ExecError> {
        let exec = self.containers.execs.get(id)?;
        // A client that was told that it begins may be faster than the beginning.
        let begun = tokio::time::timeout(ANSWER_DEADLINE, exec.begun()).await;
        let Ok(ExecState::Running { .. }) = begun else {
            return Err(ExecError::Conflict(format!("exec {id} is not running")));
        };
        let container = self.containers.table.find(exec.container.as_str())?;
        let operation = Operation::Resize { exec: Some(exec.id.to_string()), size: window(size) };
        Ok(self.containers.ask(&container, operation).await?)
    }
}
