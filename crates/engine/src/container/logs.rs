//! Reads containers' logs.

use super::Containers;
use crate::domain::{LogDriver, LogOptions};
use crate::error::ContainerError;
use crate::logs::{Following, LogStream};
use crate::node::blocking;

impl Containers {
    /// Entries of a container's log.
    ///
    /// # Errors
    /// There is no container of that name, or its log driver keeps nothing to read.
    pub async fn logs(&self, name: &str, options: LogOptions) -> Result<LogStream, ContainerError> {
        let container = self.table.find(name)?;
        let record = container.record();
        if record.host.log.driver == LogDriver::None {
            return Err(ContainerError::NoLogs);
        }
        let failed =
            |name: &str| ContainerError::io(format!("cannot read the log of container {name}"));
        let path = self.node.paths.log(&container.id);
        // Of a container that does not run nothing more comes.
        let follow = options.follow && container.state.borrow().phase.is_active();
        let following = match follow {
            false => None,
            true => {
                let dir = self.node.paths.dir(&container.id);
                let files = self.log_watch.subscribe(&dir).map_err(failed(name))?;
                let state = container.state.subscribe();
                let exits = state.borrow().exits;
                Some(Following { files, state, exits })
            }
        };
        let tty = record.config.tty;
        blocking(move || LogStream::open(path, tty, options, following)).await.map_err(failed(name))
    }
}
