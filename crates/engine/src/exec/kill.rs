//! Kills execs.

use shoal_model::Signal;
use shoal_runtime::protocol::Operation;

use super::Execs;
use crate::error::ExecError;

impl Execs {
    /// Kills its process; only that one.
    ///
    /// # Errors
    /// It does not run.
    pub(crate) async fn kill(&self, id: &str) -> Result<(), ExecError> {
        let exec = self.containers.execs.get(id)?;
        let container = self.containers.table.find(exec.container.as_str())?;
        let signal = i32::from(Signal::KILL.number());
        let kill = Operation::Kill { signal, all: false, exec: Some(exec.id.to_string()) };
        Ok(self.containers.ask(&container, kill).await?)
    }
}
