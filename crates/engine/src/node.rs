//! What all verbs need of the machine: directories, the shim's program, cgroups,
//! networks, images, and the bounds on work that goes on by itself.
//!
//! It must not know single containers.

use std::collections::HashSet;
use std::fs;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use shoal_image::Store;
use shoal_model::{Classify, ContainerId};
use shoal_network::Networks;
use shoal_runtime::launch::ShimBinary;
use shoal_runtime::seccomp::compile_docker_profile;
use shoal_sys::cgroup::{Cgroup, Layout};
use shoal_sys::seccomp::Program;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{EngineConfig, OpenFiles};
use crate::container::check::Machine;
use crate::container::record::Paths;
use crate::error::ContainerError;

/// What all verbs need of the machine.
#[derive(Debug)]
pub(crate) struct Node {
    /// Directories of containers.
    pub(crate) paths: Paths,
    /// Images.
    pub(crate) images: Arc<Store>,
    /// Networks.
    pub(crate) networks: Arc<Networks>,
    /// The shim's program.
    pub(crate) shim: Arc<ShimBinary>,
    /// Cgroups of containers.
    pub(crate) cgroups: Cgroups,
    /// System call filters.
    pub(crate) filters: Filters,
    /// Work that goes on by itself.
    pub(crate) tasks: Tasks,
    /// Open files of a container that has no limit of its own.
    pub(crate) open_files: Option<OpenFiles>,
}

impl Node {
    pub(crate) fn open(
        config: &EngineConfig,
        images: Arc<Store>,
        networks: Arc<Networks>,
        shim: ShimBinary,
    ) -> io::Result<Self> {
        let paths = Paths::new(&config.root, &config.run);
        paths.make()?;
        let processors = std::thread::available_parallelism()?.get();
        let parallel = config.parallel_starts.unwrap_or(STARTS_PER_PROCESSOR * processors).max(1);
        Ok(Node {
            paths,
            images,
            networks,
            shim: Arc::new(shim),
            cgroups: Cgroups::detect(&config.cgroup_parent)?,
            filters: Filters::open(&config.run)?,
            tasks: Tasks::new(parallel),
            open_files: config.open_files,
        })
    }

    /// What the machine has.
    pub(crate) fn machine(&self) -> Machine {
        let processors = processors() as u64;
        let (cpus, memory_nodes) = &*ONLINE;
        Machine { processors, memory_bytes: machine_memory_bytes(), cpus, memory_nodes }
    }
}

/// Starts in flight per processor. A start waits for the kernel more than it computes: in
/// the `starts` bench one at a time takes twice as long as four, and from eight on two
/// processors gain nothing but longer queues in the kernel.
const STARTS_PER_PROCESSOR: usize = 4;

/// The machine's processors and memory nodes, as the kernel lists them.
static ONLINE: LazyLock<(String, String)> = LazyLock::new(|| {
    let list = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.trim().to_owned()
    };
    (list("/sys/devices/system/cpu/online"), list("/sys/devices/system/node/online"))
});

/// Processors the daemon may run on, and containers with it. A quota of the daemon's own cgroup
/// is not theirs, and does not count.
pub fn processors() -> usize {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => set.count() as usize,
        // More processors than the set holds.
        Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// Bytes of memory of this machine.
pub(crate) fn machine_memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    u64::from(info.mem_unit) * info.totalram as u64
}

/// Work that goes on by itself: bounded, and ended with the engine.
#[derive(Debug)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    /// Cancelled when the engine closes.
    pub(crate) closing: CancellationToken,
    /// Starts in flight.
    pub(crate) starts: Semaphore,
}

impl Tasks {
    fn new(parallel_starts: usize) -> Self {
        Tasks {
            tracker: TaskTracker::new(),
            closing: CancellationToken::new(),
            starts: Semaphore::new(parallel_starts),
        }
    }

    /// Runs `work` to its end even if the caller goes away meanwhile: a client that
    /// hangs up must not leave a container half made.
    pub(crate) async fn finish<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<ContainerError> + Send + 'static,
    {
        if self.closing.is_cancelled() {
            return Err(ContainerError::ShuttingDown.into());
        }
        match self.tracker.spawn(work).await {
            Ok(done) => done,
            Err(panic) => Err(E::from(ContainerError::Io {
                what: "the engine's own task ended early".into(),
                source: io::Error::other(panic),
            })),
        }
    }

    /// Runs `work` by itself. It must end soon after `closing`.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(work);
    }

    /// Ends everything and waits for it.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Runs something that blocks on a thread made for that.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Blocking work is never aborted: only a runtime that is going down drops it,
            // and then nobody waits here either.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The cgroups of containers.
#[derive(Debug)]
pub(crate) struct Cgroups {
    layout: Layout,
    parent: PathBuf,
}

impl Cgroups {
    fn detect(parent: &str) -> io::Result<Self> {
        Ok(Cgroups { layout: Layout::detect()?, parent: Path::new("/").join(parent) })
    }

    /// Whether the machine has version 2 only.
    pub(crate) fn is_v2(&self) -> bool {
        self.layout.is_v2()
    }

    /// The path of a container's cgroup, relative to each hierarchy's root.
    pub(crate) fn path(&self, id: &ContainerId, parent: Option<&str>) -> PathBuf {
        match parent {
            Some(parent) => Path::new("/").join(parent).join(id.as_str()),
            None => self.parent.join(id.as_str()),
        }
    }

    /// Kills every process in the cgroup at a path, frozen ones, too. Blocks.
    pub(crate) fn kill(&self, path: &Path) -> io::Result<()> {
        let cgroup = self.at(path)?;
        if !cgroup.exists() {
            return Ok(());
        }
        // On version 1 what is frozen does not notice that it is killed. Where there is no
        // freezer, nothing is frozen.
        let _ = cgroup.thaw();
        cgroup.kill_all()
    }

    /// Kills every process in the cgroup at a path, and removes it. Blocks.
    pub(crate) fn clear(&self, path: &Path) -> io::Result<()> {
        self.kill(path)?;
        self.at(path)?.remove()
    }

    /// The cgroup at a path.
    pub(crate) fn at(&self, path: &Path) -> io::Result<Cgroup> {
        Cgroup::at(&self.layout, path)
    }
}

/// Compiled system call filters, each made once and kept in a file for shims to load.
#[derive(Debug)]
pub(crate) struct Filters {
    dir: PathBuf,
    /// Files made by this daemon. Those of an earlier one are written again: shims that
    /// run may read theirs at any time, so none is ever taken away.
    ready: Mutex<HashSet<PathBuf>>,
}

impl Filters {
    fn open(run: &Path) -> io::Result<Self> {
        let dir = run.join("seccomp");
        fs::create_dir_all(&dir)?;
        Ok(Filters { dir, ready: Mutex::default() })
    }

    /// The file with the filter for this profile (`None` is the default one) and a
    /// process with these capabilities.
    pub(crate) fn file_for(
        &self,
        profile: Option<&str>,
        capabilities: &[&str],
    ) -> Result<PathBuf, ContainerError> {
        let name = stable_hash(profile.into_iter().chain(capabilities.iter().copied()));
        let path = self.dir.join(format!("{name:016x}.bpf"));
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.contains(&path) {
            return Ok(path);
        }
        let invalid = |why: String| ContainerError::Invalid(format!("seccomp profile: {why}"));
        let program = match profile {
            None => Program::docker_default(capabilities.iter().copied())
                .map_err(|error| invalid(error.to_string()))?,
            Some(json) => compile_docker_profile(json, capabilities.iter().copied())
                .map_err(|error| invalid(error.chain()))?,
        };
        let temporary = path.with_extension("new");
        fs::File::create(&temporary)
            .and_then(|file| program.write_to(file))
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(ContainerError::io("cannot store a seccomp filter"))?;
        ready.insert(path.clone());
        Ok(path)
    }
}

/// FNV-1a: the same in every build, as names of files must be.
fn stable_hash<'a>(words: impl Iterator<Item = &'a str>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in words.flat_map(|word| word.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}
