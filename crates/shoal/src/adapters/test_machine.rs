//! A machine for the tests of the adapters: an engine with its networks and
//! images in a folder, a network namespace and a cgroup of its own.

use std::{
    fs,
    future::Future,
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use shoal_engine::{Engine, EngineConfig};
use shoal_image::{Store, StoreConfig};
use shoal_network::{NetworkConfig, Networks};
use shoal_runtime::launch::ShimBinary;
use shoal_sys::{
    cgroup::{Cgroup, Layout},
    netns,
};
use tempfile::TempDir;

/// How long the shims of a failed test may take to end after they were killed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What runs on the machine. No image is there yet.
pub(super) struct Machine {
    pub(super) engine: Arc<Engine>,
    pub(super) networks: Arc<Networks>,
    pub(super) images: Arc<Store>,
    root: PathBuf,
}

/// Runs a test on a fresh machine, on a thread of its own: the threads it
/// starts are in the machine's network namespace, too. The machine's folder
/// goes when the test's runtime has ended, so that nothing writes below it any
/// more.
pub(super) fn on_machine<F: Future<Output = ()>>(
    name: &str,
    test: impl FnOnce(Machine) -> F + Send,
) {
    let place = Place::new(name);
    let namespace = netns::create().unwrap();
    let run = || {
        netns::enter_for_good(namespace.as_fd()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { test(Machine::open(&place).await).await });
    };
    thread::scope(|scope| {
        if let Err(panic) = scope.spawn(run).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

impl Machine {
    async fn open(place: &Place) -> Self {
        // What may fail comes before what starts something.
        let shim = ShimBinary::open(&shim()).unwrap();
        let root = place.directory.path().to_owned();
        let images = Store::open(&root.join("image"), StoreConfig::default()).unwrap();
        let networks =
            Networks::open(&root.join("network"), NetworkConfig::default()).await.unwrap();
        let config = EngineConfig {
            root: root.clone(),
            run: root.join("run"),
            cgroup_parent: place.cgroup_parent.clone(),
            parallel_starts: None,
            open_files: None,
        };
        let engine = Engine::open(config, images.clone(), networks.clone(), shim).await.unwrap();
        Self { engine, networks, images, root }
    }

    /// The folder everything is kept in.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Closes what runs, in the order the daemon does.
    pub(super) async fn close(self) {
        self.engine.close().await;
        self.networks.close().await;
    }
}

/// What a machine takes of the real one.
struct Place {
    directory: TempDir,
    cgroup_parent: String,
}

impl Place {
    fn new(name: &str) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            cgroup_parent: format!("shoal-test-{name}-{}", std::process::id()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Also after a test that failed in the middle, whose containers run.
        let cgroup = Cgroup::at(&Layout::detect().unwrap(), &self.cgroup_parent).unwrap();
        let removed = cgroup.kill_all().and_then(|()| cgroup.remove());
        assert!(removed.is_ok() || thread::panicking(), "{removed:?}");
        // A `TempDir` would say nothing about what it cannot remove.
        let removed = remove(self.directory.path());
        assert!(removed.is_ok() || thread::panicking(), "{removed:?}");
    }
}

/// Removes a folder; shims that a failed test left behind may still write
/// their last words below it.
fn remove(directory: &Path) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match fs::remove_dir_all(directory) {
            Err(error)
                if error.kind() == io::ErrorKind::DirectoryNotEmpty
                    && start.elapsed() < LAST_WORDS => {}
            removed => return removed,
        }
    }
}

/// The shim next to this test program.
fn shim() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let path = program.ancestors().nth(2).unwrap().join("shoal-shim");
    assert!(path.exists(), "{} is missing: cargo build -p shoal-runtime", path.display());
    path
}
