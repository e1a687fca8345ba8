//! Further processes in running containers.
//!
//! An exec lives in memory only: made, started once, ended; a restart of the daemon
//! forgets it (its process goes on). One file per verb.

mod create;
mod inspect;
mod kill;
mod resize;
mod start;
mod wait;

use crate::container::Containers;

pub use start::ClaimedExec;

/// The execs of a node. Cheap to clone; all clones are one set.
#[derive(Debug, Clone)]
pub struct Execs {
    containers: Containers,
}

impl Execs {
    pub(crate) fn new(containers: Containers) -> Self {
        Execs { containers }
    }
}
