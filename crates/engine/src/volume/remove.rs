//! Removes volumes.

use super::Volumes;
use crate::error::VolumeError;
use crate::node::blocking;

impl Volumes {
    /// Removes a volume and its content; with `force` one that is not there is fine.
    ///
    /// # Errors
    /// Containers use it; there is none of that name.
    pub async fn remove(&self, name: &str, force: bool) -> Result<(), VolumeError> {
        let found = self.lock().get(name).map(|known| known.busy.clone());
        let Some(busy) = found else {
            return if force { Ok(()) } else { Err(VolumeError::NotFound(name.into())) };
        };
        let _busy = busy.lock().await;
        // Asked and decided in one step: from here on nobody new can use it.
        match self.lock().get_mut(name) {
            None => return Ok(()),
            Some(found) if !found.users.is_empty() => {
                let users = found.users.iter().map(ToString::to_string).collect();
                return Err(VolumeError::InUse { name: name.into(), users });
            }
            Some(found) => found.leaving = true,
        }
        let (files, path) = (self.files.clone(), name.to_owned());
        let removed = blocking(move || files.remove(&path)).await;
        if let Err(source) = removed {
            if let Some(found) = self.lock().get_mut(name) {
                found.leaving = false;
            }
            return Err(VolumeError::Io { what: format!("cannot remove volume {name}"), source });
        }
        self.lock().remove(name);
        self.publish(name, "destroy");
        Ok(())
    }
}
