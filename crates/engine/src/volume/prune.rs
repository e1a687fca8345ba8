//! Removes volumes nobody uses.

use std::collections::BTreeSet;

use super::Volumes;
use crate::container::{has_label, tree_bytes};
use crate::domain::{PruneFilter, Pruned, VolumeFilter};
use crate::error::VolumeError;
use crate::node::blocking;
use shoal_model::Classify as _;

impl Volumes {
    /// Removes the volumes no container uses: anonymous ones, with `all` the named, too.
    ///
    /// # Errors
    /// None of its own; what cannot be removed is left and logged.
    pub async fn prune(&self, filter: &PruneFilter) -> Result<Pruned, VolumeError> {
        let unused = VolumeFilter {
            dangling: Some(true),
            label: filter.label.clone(),
            ..VolumeFilter::default()
        };
        let none: &BTreeSet<String> = &filter.label_not;
        let mut pruned = Pruned::default();
        for volume in self.list(&unused) {
            let wanted = (filter.all || volume.anonymous)
                && filter.until.is_none_or(|until| volume.created_at < until)
                && !none.iter().any(|label| has_label(&volume.labels, label));
            if !wanted {
                continue;
            }
            let path = volume.mountpoint.clone();
            let bytes = blocking(move || tree_bytes(&path)).await.unwrap_or_default();
            match self.remove(&volume.name, true).await {
                Ok(()) => {
                    pruned.removed.push(volume.name);
                    pruned.reclaimed_bytes += bytes;
                }
                // Somebody has begun to use it.
                Err(VolumeError::InUse { .. }) => {}
                Err(error) => {
                    tracing::error!(volume = %volume.name, error = %error.chain(), "cannot prune a volume");
                }
            }
        }
        Ok(pruned)
    }
}
