//! Lists containers.

use shoal_image::ImageUse;
use shoal_model::Digest;

use super::Containers;
use crate::domain::{ContainerCounts, ContainerSummary, ListFilter};
use crate::error::ContainerError;

impl Containers {
    /// The containers a filter lets through, newest first; from memory.
    ///
    /// # Errors
    /// A filter value nobody knows, a `before` or `since` container that is not there.
    pub fn list(&self, filter: &ListFilter) -> Result<Vec<ContainerSummary>, ContainerError> {
        let _ = filter;
        todo!()
    }

    /// How many containers there are.
    pub fn counts(&self) -> ContainerCounts {
        todo!()
    }

    /// The containers that use an image; what the image store asks before a removal.
    pub fn users_of_image(&self, image: &Digest) -> Vec<ImageUse> {
        let _ = image;
        todo!()
    }
}
