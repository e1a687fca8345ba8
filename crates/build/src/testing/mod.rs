//! For tests of this crate and of those that implement [`crate::Worker`]: a
//! worker that really works, on plain directories, and the suite that every
//! worker has to pass.

pub mod contract;
mod directory_worker;
mod tar_context;

pub use directory_worker::{DirectorySnapshot, DirectoryWorker};
pub use tar_context::{TarContext, busybox_rootfs};
