//! Reads containers' logs.

use super::Containers;
use crate::domain::LogOptions;
use crate::error::ContainerError;
use crate::logs::LogStream;

impl Containers {
    /// Entries of a container's log.
    ///
    /// # Errors
    /// There is no container of that name, or its log driver keeps nothing to read.
    pub async fn logs(&self, name: &str, options: LogOptions) -> Result<LogStream, ContainerError> {
        let _ = (name, options);
        todo!()
    }
}
