//! Renames containers.

use shoal_model::names;

use super::Containers;
use crate::error::ContainerError;

impl Containers {
    /// Gives a container another name.
    ///
    /// # Errors
    /// A name that is taken or breaks the rule for names.
    pub async fn rename(&self, name: &str, new_name: &str) -> Result<(), ContainerError> {
        let container = self.table.find(name)?;
        let new_name = new_name.strip_prefix('/').unwrap_or(new_name).to_owned();
        names::check("container", &new_name)
            .map_err(|_| ContainerError::BadName(new_name.clone()))?;
        let containers = self.clone();
        let work = async move {
            let _gate = container.gate.lock().await;
            let mut record = (*container.record()).clone();
            if record.name == new_name {
                return Err(ContainerError::Invalid(
                    "Renaming a container with the same name as its current name".into(),
                ));
            }
            let reservation = containers.table.reserve(&new_name, &container.id)?;
            let old_name = std::mem::replace(&mut record.name, new_name.clone());
            containers.save_record(&container, record).await?;
            reservation.keep();
            containers.table.free_name(&old_name);
            containers.node.networks.rename(&container.id, &new_name);
            let old = [("oldName", format!("/{old_name}"))];
            containers.publish(&container.record(), "rename", &old);
            Ok(())
        };
        self.node.tasks.finish(work).await
    }
}
