//! Shows containers' processes.

use super::Containers;
use crate::domain::TopTable;
use crate::error::ContainerError;

impl Containers {
    /// The processes of a container, as `ps` with these arguments shows them; empty is `-ef`.
    ///
    /// # Errors
    /// It does not run; other arguments than `-ef` and `aux` are not supported yet.
    pub async fn top(&self, name: &str, ps_arguments: &str) -> Result<TopTable, ContainerError> {
        let _ = (name, ps_arguments);
        todo!()
    }
}
