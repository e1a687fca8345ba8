//! The `platform` parameter.

use shoal_model::Platform;

use super::super::error::{ApiError, Result};

/// Reads `linux/amd64`.
///
/// # Errors
/// `Invalid` with Docker's text.
pub(crate) fn read_platform(text: &str) -> Result<Platform> {
    Platform::parse(text).ok_or_else(|| {
        ApiError::invalid(format!(
            "{text:?} is an invalid OS component of {text:?}: invalid platform"
        ))
    })
}
