//! The engine of one node: its parts, and how they are opened and left.

use std::io;
use std::sync::Arc;

use shoal_image::Store;
use shoal_model::Classify;
use shoal_network::{NetworkError, Networks};
use shoal_runtime::launch::ShimBinary;

use crate::config::EngineConfig;
use crate::container::Containers;
use crate::container::adopt::LeftOut;
use crate::container::execs::ExecTable;
use crate::container::table::Table;
use crate::error::OpenError;
use crate::events::Events;
use crate::exec::Execs;
use crate::logs::LogWatch;
use crate::node::{Node, blocking};
use crate::volume::Volumes;

/// The engine of one node.
#[derive(Debug)]
pub struct Engine {
    containers: Containers,
    execs: Execs,
    volumes: Volumes,
    events: Events,
    _left_out: LeftOut,
}

impl Engine {
    /// Opens the engine: finds every container of an earlier daemon again, reconnects to those
    /// that run, ends what was half done, and applies restart policies. `networks` must be open
    /// and not yet warm; this warms them once every running container is adopted.
    ///
    /// # Errors
    /// The directories cannot be made or read. A single damaged container is logged and skipped;
    /// if it runs, it goes on.
    pub async fn open(
        config: EngineConfig,
        images: Arc<Store>,
        networks: Arc<Networks>,
        shim: ShimBinary,
    ) -> Result<Arc<Engine>, OpenError> {
        let failed = |what: &str| OpenError::io(what.to_owned());
        let events = Events::default();
        let (root, told) = (config.root.clone(), events.clone());
        let volumes = blocking(move || Volumes::open(&root, told))
            .await
            .map_err(failed("cannot open the volumes"))?;
        let node = blocking(move || Node::open(&config, images, networks, shim))
            .await
            .map_err(failed("cannot open the engine's directories"))?;
        let log_watch = LogWatch::open(&node.tasks).map_err(failed("cannot watch logs"))?;
        let containers = Containers {
            node: Arc::new(node),
            table: Arc::new(Table::default()),
            volumes: volumes.clone(),
            events: events.clone(),
            execs: Arc::new(ExecTable::default()),
            log_watch: Arc::new(log_watch),
        };
        let left_out = containers.load().await.map_err(failed("cannot read the containers"))?;
        containers.adopt_all(&left_out).await.map_err(failed("cannot read the bundles"))?;
        containers.node.networks.warm().await.map_err(OpenError::network)?;
        containers.resume_all();
        let execs = Execs::new(containers.clone());
        Ok(Arc::new(Engine { containers, execs, volumes, events, _left_out: left_out }))
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
    /// Verbs that are under way are finished first; those that wait for a program's end are
    /// given up, and the program goes on.
    pub async fn close(&self) {
        self.containers.node.tasks.close().await;
    }
}

impl OpenError {
    fn network(error: NetworkError) -> Self {
        OpenError::Network { message: error.chain() }
    }

    fn io(what: String) -> impl FnOnce(io::Error) -> Self {
        move |source| OpenError::Io { what, source }
    }
}
