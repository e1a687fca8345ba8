//! Tells about volumes, from memory.

use super::Volumes;
use crate::container::has_label;
use crate::domain::{Volume, VolumeFilter};
use crate::error::VolumeError;

impl Volumes {
    /// The volumes a filter lets through, by name.
    pub fn list(&self, filter: &VolumeFilter) -> Vec<Volume> {
        let known = self.lock();
        let wanted = known.values().filter(|known| {
            let volume = &known.volume;
            (filter.name.is_empty() || filter.name.iter().any(|name| name.matches(&volume.name)))
                && (filter.driver.is_empty() || filter.driver.contains("local"))
                && filter.label.iter().all(|label| has_label(&volume.labels, label))
                && filter.dangling.is_none_or(|dangling| known.users.is_empty() == dangling)
        });
        wanted.map(|known| known.volume.clone()).collect()
    }

    /// How many containers use a volume, whether they run or not.
    pub fn user_count(&self, name: &str) -> usize {
        self.lock().get(name).map_or(0, |known| known.users.len())
    }

    /// One volume.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn inspect(&self, name: &str) -> Result<Volume, VolumeError> {
        let known = self.lock();
        let found = known.get(name).map(|known| known.volume.clone());
        found.ok_or_else(|| VolumeError::NotFound(name.into()))
    }
}
