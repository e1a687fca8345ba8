//! How an image came about.

use super::Store;
use crate::{Error, HistoryEntry, Result};

impl Store {
    /// How the image came about, newest step first.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`].
    pub fn history(&self, name_or_id: &str) -> Result<Vec<HistoryEntry>> {
        let state = self.inner.state();
        let id = state.find(name_or_id)?;
        let image = state.image(&id).ok_or_else(|| Error::NoSuchImage(name_or_id.into()))?;
        let mut layers = image.layers.iter();
        let mut entries: Vec<HistoryEntry> = image
            .config
            .history
            .iter()
            .map(|step| {
                let layer = if step.empty_layer { None } else { layers.next() };
                HistoryEntry {
                    id: None,
                    created: step.created.as_deref().and_then(|text| text.parse().ok()),
                    created_by: step.created_by.clone(),
                    tags: Vec::new(),
                    size: layer.and_then(|id| state.layers.get(id)).map_or(0, |layer| layer.size),
                    comment: step.comment.clone(),
                }
            })
            .collect();
        // The image itself, and those it was built upon here, each at the step
        // it ends with.
        let mut next = Some(image);
        while let Some(image) = next.take() {
            next = image.parent.as_ref().and_then(|parent| state.image(parent));
            let last = image.config.history.len().checked_sub(1);
            let entry = last.and_then(|last| entries.get_mut(last));
            if let Some(entry) = entry.filter(|entry| entry.id.is_none()) {
                entry.id = Some(image.id);
                entry.tags = image.repo_tags;
            }
        }
        entries.reverse();
        Ok(entries)
    }
}
