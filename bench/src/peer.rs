//! The two peers, each in a node of one local cluster: same namespaces, same
//! cgroup depth, same disk.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::api::Api;

/// Where each peer's registry listens, in its own network namespace.
pub(crate) const REGISTRY: &str = "localhost:5000";
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon to be measured.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) api: Api,
    /// The cgroup all its processes are in.
    pub(crate) cgroup: String,
    _registry: Process,
    _daemon: Option<Process>,
}

/// A local cluster of two nodes that are not joined.
pub(crate) struct Ground {
    dir: TempDir,
    name: String,
}

impl Ground {
    /// Makes the cluster.
    pub(crate) fn prepare() -> Result<Self> {
        let dir = TempDir::with_prefix("shoal-bench-").context("cannot make a temporary folder")?;
        let ground = Self { dir, name: format!("bench{}", std::process::id()) };
        ground.cluster(&["create", &ground.name, "--nodes", "2", "--no-swarm"])?;
        Ok(ground)
    }

    /// Shoal, on the first node.
    pub(crate) async fn shoal(&self) -> Result<Peer> {
        let registry = self.registry(1)?;
        let socket = self.node_dir(1).join("run/shoal.sock");
        self.peer("Shoal", 1, socket, registry, None).await
    }

    /// dockerd, on the second.
    pub(crate) async fn docker(&self) -> Result<Peer> {
        let registry = self.registry(2)?;
        let dir = self.dir.path().join("docker");
        std::fs::create_dir_all(&dir)?;
        let socket = dir.join("docker.sock");
        let flag = |name: &str, file: &str| format!("--{name}={}", dir.join(file).display());
        let log = std::fs::File::create(dir.join("log"))?;
        let daemon = self
            .inside(2, "/usr/sbin/dockerd")
            .args([flag("data-root", "data"), flag("exec-root", "exec"), flag("pidfile", "pid")])
            .arg(format!("--host=unix://{}", socket.display()))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start dockerd")?;
        self.peer("Docker", 2, socket, registry, Some(Process(daemon))).await
    }

    async fn peer(
        &self,
        name: &'static str,
        node: usize,
        socket: PathBuf,
        registry: Process,
        daemon: Option<Process>,
    ) -> Result<Peer> {
        let api = connect(socket).await.with_context(|| format!("{name} does not answer"))?;
        let body = json!({ "ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1" });
        api.call(hyper::Method::POST, "/swarm/init", &body).await.context(name)?;
        let cgroup = format!("shoal-cluster-{0}/{0}-{node}", self.name);
        Ok(Peer { name, api, cgroup, _registry: registry, _daemon: daemon })
    }

    fn registry(&self, node: usize) -> Result<Process> {
        let data = self.dir.path().join(format!("registry-{node}"));
        let child = self
            .inside(node, &shoal().to_string_lossy())
            .args(["registry", "serve", "--listen", "127.0.0.1:5000", "--dir"])
            .arg(&data)
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start a registry")?;
        Ok(Process(child))
    }

    /// A program inside a node.
    fn inside(&self, node: usize, program: &str) -> Command {
        let mut command = Command::new(shoal());
        let node = node.to_string();
        command.arg("cluster").arg("--clusters").arg(self.clusters());
        command.args(["exec", &self.name, &node, program]).stdin(Stdio::null());
        command
    }

    fn cluster(&self, args: &[&str]) -> Result<()> {
        let status = Command::new(shoal())
            .arg("cluster")
            .arg("--clusters")
            .arg(self.clusters())
            .args(args)
            .stdout(Stdio::null())
            .status()
            .context("cannot run shoal")?;
        ensure!(status.success(), "shoal cluster {}: {status}", args.join(" "));
        Ok(())
    }

    fn clusters(&self) -> PathBuf {
        self.dir.path().join("clusters")
    }

    fn node_dir(&self, node: usize) -> PathBuf {
        self.clusters().join(&self.name).join(format!("{}-{node}", self.name))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Err(error) = self.cluster(&["rm", &self.name]) {
            eprintln!("{error:#}");
        }
    }
}

/// A process that ends with its node at the latest.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn connect(socket: PathBuf) -> Result<Api> {
    let start = std::time::Instant::now();
    loop {
        match Api::connect(socket.clone()).await {
            Ok(api) => return Ok(api),
            Err(error) if start.elapsed() > PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

fn shoal() -> PathBuf {
    match std::env::var_os("SHOAL_BIN_DIR") {
        Some(dir) => Path::new(&dir).join("shoal"),
        None => PathBuf::from("shoal"),
    }
}

/// Waits for a condition nobody announces.
pub(crate) async fn until(
    what: &str,
    mut condition: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let start = std::time::Instant::now();
    while !condition().await? {
        if start.elapsed() > 4 * PATIENCE {
            bail!("waited {} s in vain for {what}", start.elapsed().as_secs());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
