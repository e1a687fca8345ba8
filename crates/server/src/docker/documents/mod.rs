//! Documents that several requests carry: what a client may send. What they ask for is said
//! where they are converted.

mod driver;
mod health;
mod mount;

pub(crate) use driver::DriverDocument;
pub(crate) use health::{HealthDocument, HealthTerms, check_test};
pub(crate) use mount::{BindDocument, MountDocument, TmpfsDocument, VolumeDocument};
