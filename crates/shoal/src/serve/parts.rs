//! The parts of the daemon: opened in their order, closed in the other.

use std::sync::Arc;

use anyhow::{Context, Result};
use shoal_engine::{Engine, EngineConfig, OpenFiles};
use shoal_image::{Store, StoreConfig};
use shoal_model::Classify as _;
use shoal_network::Networks;
use shoal_node::{Node, NodeConfig};
use shoal_runtime::launch::ShimBinary;
use shoal_server::docker::{About, Builder, Front};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::SESSIONS_GRACE;
use super::config::Config;
use crate::adapters::{Builds, EngineExecutor};

/// Everything that runs.
pub(super) struct Parts {
    /// The front door, which holds the others.
    pub(super) front: Arc<Front>,
    builds: Builds,
}

impl Parts {
    /// Opens everything: images and networks, then the engine on top of them,
    /// then the swarm on top of it.
    ///
    /// # Errors
    /// What keeps a part from opening.
    pub(super) async fn open(
        config: &Config,
        open_files: OpenFiles,
        stop: CancellationToken,
    ) -> Result<Self> {
        let shim = ShimBinary::open(&config.shim).context("loading the shim")?;
        let images = open_images(config).await?;
        let networks = Networks::open(&config.root.join("network"), config.network.clone())
            .await
            .context("opening the networks")?;
        let engine =
            Engine::open(engine_config(config, open_files), images.clone(), networks.clone(), shim)
                .await
                .context("opening the engine")?;
        collect_garbage(images.clone()).await;
        let builds = Builds::new(&config.root, engine.clone(), images.clone());
        let executor =
            Arc::new(EngineExecutor::new(engine.clone(), images.clone(), config.labels.clone()));
        let node = Node::open(NodeConfig::new(config.root.join("swarm")), executor)
            .await
            .context("opening the swarm node")?;
        let front = Front {
            engine,
            images,
            networks,
            node,
            builder: Arc::new(builds.clone()) as Arc<dyn Builder>,
            about: about(config),
            stop,
            tasks: TaskTracker::new(),
        };
        let (node, stop) = (Arc::clone(&front.node), front.stop.clone());
        front.tasks.spawn(async move { node.mend(stop).await });
        Ok(Self { front: Arc::new(front), builds })
    }

    /// Closes everything; containers go on running.
    pub(super) async fn close(&self) {
        let Front { engine, networks, node, tasks, .. } = &*self.front;
        tasks.close();
        if tokio::time::timeout(SESSIONS_GRACE, tasks.wait()).await.is_err() {
            tracing::debug!(sessions = tasks.len(), "sessions end with the daemon");
        }
        node.shutdown().await;
        self.builds.close().await;
        engine.close().await;
        networks.close().await;
    }
}

async fn open_images(config: &Config) -> Result<Arc<Store>> {
    let root = config.root.join("image");
    let certs = std::path::Path::new("/etc/docker/certs.d");
    let store = StoreConfig {
        insecure_registries: config.insecure_registries.clone(),
        certs_dir: certs.is_dir().then(|| certs.to_owned()),
    };
    tokio::task::spawn_blocking(move || Store::open(&root, store))
        .await
        .context("opening the image store")?
        .context("opening the image store")
}

/// Removes what builds and pulls of a killed daemon left without a name. Every
/// container holds its layers again by now.
async fn collect_garbage(images: Arc<Store>) {
    let collected = tokio::task::spawn_blocking(move || images.collect_garbage()).await;
    match collected {
        Ok(Ok(0)) => {}
        Ok(Ok(bytes)) => tracing::info!(bytes, "removed unnamed layers of an earlier daemon"),
        Ok(Err(error)) => tracing::warn!(error = %error.chain(), "collecting unnamed layers"),
        Err(error) => tracing::warn!(%error, "collecting unnamed layers"),
    }
}

fn engine_config(config: &Config, open_files: OpenFiles) -> EngineConfig {
    EngineConfig {
        root: config.root.clone(),
        run: config.run_dir.clone(),
        cgroup_parent: config.cgroup_parent.clone(),
        parallel_starts: None,
        open_files: Some(open_files),
    }
}

fn about(config: &Config) -> About {
    About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        root: config.root.clone(),
        insecure_registries: config.insecure_registries.clone(),
        labels: config.labels.clone(),
        debug: tracing::enabled!(tracing::Level::DEBUG),
    }
}
