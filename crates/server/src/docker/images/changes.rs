//! `changes` of an import: Dockerfile instructions that set the run
//! configuration, as `docker import --change` takes them.

use shoal_image::RunConfig;

use super::super::error::Result;

/// Reads the instructions in their order.
///
/// # Errors
/// `Invalid`, quoting the instruction that cannot be used.
pub(super) fn read<'a>(changes: impl Iterator<Item = &'a str>) -> Result<RunConfig> {
    Ok(shoal_build::stage::changes(changes.filter(|change| !change.trim().is_empty()))?)
}
