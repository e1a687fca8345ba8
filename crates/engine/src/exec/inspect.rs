//! Tells everything about execs.

use super::Execs;
use crate::container::execs::ExecState;
use crate::domain::ExecView;
use crate::error::ExecError;

impl Execs {
    /// Everything about one exec.
    ///
    /// # Errors
    /// There is none of that id.
    pub fn inspect(&self, id: &str) -> Result<ExecView, ExecError> {
        let exec = self.containers.execs.get(id)?;
        let (running, pid, exit_code) = match exec.state() {
            ExecState::Made | ExecState::Starting => (false, 0, None),
            ExecState::Running { pid } => (true, pid, None),
            ExecState::Ended { exit_code } => (false, 0, Some(exit_code)),
        };
        let mut command = exec.request.cmd.iter().cloned();
        Ok(ExecView {
            id: exec.id.clone(),
            container_id: exec.container.clone(),
            running,
            exit_code,
            pid,
            entrypoint: command.next().unwrap_or_default(),
            arguments: command.collect(),
            user: exec.request.user.clone(),
            tty: exec.request.tty,
            privileged: exec.request.privileged,
            open_stdin: exec.request.attach_stdin,
            open_stdout: exec.request.attach_stdout,
            open_stderr: exec.request.attach_stderr,
        })
    }
}
