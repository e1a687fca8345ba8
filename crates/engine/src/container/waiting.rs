//! A wait that has begun.

use crate::domain::Waited;

/// A wait that has begun; nothing that happens from now on is missed.
#[derive(Debug)]
pub struct Waiting {}

impl Waiting {
    /// The end of the wait.
    pub async fn done(self) -> Waited {
        todo!()
    }
}
