//! Removing what nobody uses.

use std::collections::HashSet;

use shoal_model::{Digest, Kind, Timestamp};

use super::{
    Store,
    list::{has_label, has_labels},
};
use crate::{Error, Image, ImageUse, ListFilter, Pruned, Removed, Result};

/// Which images `prune` removes. `Default` is `docker image prune`.
#[derive(Clone, Debug, Default)]
pub struct PruneFilter {
    /// Also images with names (`--all`).
    pub all: bool,
    /// Only those made before this time.
    pub until: Option<Timestamp>,
    /// Only those with all these labels.
    pub labels: Vec<(String, Option<String>)>,
    /// Only those without any of these labels (`label!=`).
    pub without_labels: Vec<(String, Option<String>)>,
}

impl Store {
    /// Removes unused images and collects what nothing holds any more.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn prune(
        &self,
        filter: &PruneFilter,
        in_use: &dyn Fn(&Digest) -> Vec<ImageUse>,
    ) -> Result<Pruned> {
        let before = self.bytes_held();
        let mut pruned = Pruned::default();
        for image in self.list(&ListFilter { all: true, ..ListFilter::default() })? {
            if self.is_wanted(&image, filter) {
                self.prune_one(&image, in_use, &mut pruned.removed)?;
            }
        }
        self.inner.sweep()?;
        pruned.reclaimed = before.saturating_sub(self.bytes_held());
        Ok(pruned)
    }

    fn is_wanted(&self, image: &Image, filter: &PruneFilter) -> bool {
        let has_child = self.inner.state().index.has_children(&image.id);
        (filter.all || (image.repo_tags.is_empty() && !has_child))
            && filter.until.is_none_or(|until| image.created.is_none_or(|time| time < until))
            && has_labels(image, &filter.labels)
            && !filter.without_labels.iter().any(|(n, v)| has_label(image, n, v.as_deref()))
    }

    /// Takes an image by all its names; one that is in use stays, quietly.
    fn prune_one(
        &self,
        image: &Image,
        in_use: &dyn Fn(&Digest) -> Vec<ImageUse>,
        removed: &mut Vec<Removed>,
    ) -> Result<()> {
        if !in_use(&image.id).is_empty() {
            return Ok(());
        }
        let names: Vec<&String> = image.repo_tags.iter().chain(&image.repo_digests).collect();
        let id = image.id.to_string();
        let targets = if names.is_empty() { vec![&id] } else { names };
        for target in targets {
            match self.remove(target, false, true, in_use) {
                Ok(steps) => removed.extend(steps),
                // Gone with another name, or other images build upon it.
                Err(error) if is_quiet(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn bytes_held(&self) -> u64 {
        let state = self.inner.state();
        let mut seen = HashSet::new();
        let forms = state.layers.values().flat_map(|layer| &layer.forms);
        let stored = forms.filter(|form| form.stored && seen.insert(&form.digest));
        let blobs: u64 = stored.map(|form| form.size).sum();
        blobs + state.layers.values().map(|layer| layer.size).sum::<u64>()
    }
}

fn is_quiet(error: &Error) -> bool {
    use shoal_model::Classify;
    matches!(error.kind(), Kind::NotFound | Kind::Conflict)
}
