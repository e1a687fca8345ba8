//! The engine of one node: its parts, and how they are opened and left.

use std::path::PathBuf;
use std::sync::Arc;

use shoal_image::Store;
use shoal_network::Networks;

use crate::container::Containers;
use crate::error::OpenError;
use crate::events::Events;
use crate::exec::Execs;
use crate::volume::Volumes;

/// How an engine works.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where containers and volumes are kept (`/var/lib/shoal`).
    pub root: PathBuf,
    /// Where what does not outlive a reboot is kept (`/run/shoal`).
    pub run: PathBuf,
    /// Parent of the containers' cgroups, relative to each hierarchy's root (`shoal`).
    pub cgroup_parent: String,
    /// Containers that may be starting at one time; `None` is chosen from the processors.
    pub parallel_starts: Option<usize>,
}

/// The engine of one node.
#[derive(Debug)]
pub struct Engine {
    containers: Containers,
    execs: Execs,
    volumes: Volumes,
    events: Events,
}

impl Engine {
    /// Opens the engine: finds every container of an earlier daemon again, reconnects to those
    /// that run, ends what was half done, and applies restart policies. `networks` must be open
    /// and not yet warm; this warms them once every running container is adopted.
    ///
    /// # Errors
    /// The directories cannot be made or read. A single damaged container is logged and skipped.
    pub async fn open(
        config: EngineConfig,
        images: Arc<Store>,
        networks: Arc<Networks>,
    ) -> Result<Arc<Engine>, OpenError> {
        let _ = (config, images, networks);
        todo!()
    }

    /// The containers.
    pub fn containers(&self) -> &Containers {
        &self.containers
    }

    /// The execs.
    pub fn execs(&self) -> &Execs {
        &self.execs
    }

    /// The volumes.
    pub fn volumes(&self) -> &Volumes {
        &self.volumes
    }

    /// The events.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Stops the engine's own work; containers go on running for the next daemon to find.
    pub async fn close(&self) {
        todo!()
    }
}
