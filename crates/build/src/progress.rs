//! What a build tells while it runs: domain events in the order a reader
//! wants them, one stage after the other.

use shoal_image::Progress;
use shoal_model::{Digest, Reference};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An instruction begins.
    Step {
        /// From 1.
        number: usize,
        /// Of how many.
        total: usize,
        /// The instruction on one line.
        text: String,
    },
    /// The image a stage begins with is being pulled.
    Pull(Progress),
    /// The base image has this many `ONBUILD` triggers, which run now.
    Triggers(usize),
    /// A process runs in a container of this id.
    Running {
        /// The whole id.
        container: String,
    },
    /// The container of a finished process is gone.
    ContainerRemoved {
        /// The whole id.
        container: String,
    },
    /// A process wrote something.
    Output {
        /// Where it wrote to.
        stream: OutputStream,
        /// What it wrote, a piece of any size.
        text: String,
    },
    /// The step was found in the cache.
    CacheHit,
    /// The step is done; the image so far has this id, or none yet where it
    /// begins with nothing.
    StepDone(Option<Digest>),
    /// Something the author of the Dockerfile should know.
    Warning(String),
    /// The image is there.
    Built(Digest),
    /// The image got a name.
    Tagged(Reference),
}

/// Where a process writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
