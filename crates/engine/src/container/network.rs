//! Joins containers to networks.

use super::Containers;
use crate::domain::EndpointOptions;
use crate::error::ContainerError;

impl Containers {
    /// Joins a container to one more network, whether it runs or not.
    ///
    /// # Errors
    /// It is in there already, or the network says no.
    pub async fn connect(
        &self,
        name: &str,
        network: &str,
        options: EndpointOptions,
    ) -> Result<(), ContainerError> {
        let _ = (name, network, options);
        todo!()
    }

    /// Takes a container out of a network.
    ///
    /// # Errors
    /// It is not in there.
    pub async fn disconnect(
        &self,
        name: &str,
        network: &str,
        force: bool,
    ) -> Result<(), ContainerError> {
        let _ = (name, network, force);
        todo!()
    }
}
