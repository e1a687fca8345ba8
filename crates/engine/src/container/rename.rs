//! Renames containers.

use super::Containers;
use crate::error::ContainerError;

impl Containers {
    /// Gives a container another name.
    ///
    /// # Errors
    /// A name that is taken or breaks the rule for names.
    pub async fn rename(&self, name: &str, new_name: &str) -> Result<(), ContainerError> {
        let _ = (name, new_name);
        todo!()
    }
}
