//! Waits for execs.

use super::Execs;

impl Execs {
    /// Waits for its end; its exit code. `None` if there is no such exec.
    pub async fn wait(&self, id: &str) -> Option<i64> {
        let exec = self.containers.execs.get(id).ok()?;
        exec.wait().await
    }
}
