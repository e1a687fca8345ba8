//! A node for one test: directories of its own, a network namespace of its own, a cgroup of
//! its own, an image made of the machine's static busybox; nothing left when it is over.

use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{env, fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use shoal_engine::domain::{
    AttachOptions, ContainerConfig, ContainerStatus, CreateContainer, HostConfig, LogOptions,
    NetworkMode, RemoveOptions, WaitCondition,
};
use shoal_engine::{Attached, Containers, Engine, EngineConfig};
use shoal_image::{ImportOptions, RunConfig, Store, StoreConfig};
use shoal_model::{ContainerId, Reference, Timestamp};
use shoal_network::{NetworkConfig, Networks};
use shoal_runtime::launch::ShimBinary;
use shoal_sys::cgroup::{Cgroup, Layout};
use shoal_sys::netns;

/// Long enough for a busy machine; reached only by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Tells a child of a test where the shim is.
pub(crate) const SHIM: &str = "SHOAL_ENGINE_TEST_SHIM";

/// Programs of the image.
const APPLETS: [&str; 24] = [
    "sh", "sleep", "cat", "echo", "true", "false", "id", "ls", "mkdir", "touch", "nc", "hostname",
    "stty", "dd", "env", "kill", "seq", "test", "wc", "tail", "head", "printf", "ps", "nslookup",
];

/// Where one node's things are.
pub(crate) struct Bed {
    dir: tempfile::TempDir,
    namespace: OwnedFd,
    cgroup_parent: String,
}

/// A running daemon's inside.
pub(crate) struct Daemon {
    pub(crate) engine: Arc<Engine>,
    pub(crate) networks: Arc<Networks>,
}

/// Runs a test on a fresh node, and sees that it leaves nothing.
pub(crate) fn on_node<F: Future<Output = ()>>(test: impl FnOnce(Arc<Bed>) -> F + Send) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // Now: inside, there is no network, and the time is counted.
    shim_path();
    let bed = Arc::new(Bed {
        dir: tempfile::tempdir().unwrap(),
        namespace: netns::create().unwrap(),
        cgroup_parent: format!("shoal-engine-test-{}-{number}", std::process::id()),
    });
    thread::scope(|scope| {
        let inside = bed.clone();
        let done = scope.spawn(move || {
            inside.enter();
            let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
            assert!(up.success());
            let runtime = inside.runtime();
            runtime.block_on(async {
                tokio::time::timeout(PATIENCE * 2, test(inside.clone())).await.unwrap();
            });
            runtime.shutdown_timeout(PATIENCE);
        });
        if let Err(panic) = done.join() {
            bed.clear();
            std::panic::resume_unwind(panic);
        }
    });
    bed.check_clean();
}

impl Bed {
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn cgroup_parent(&self) -> &str {
        &self.cgroup_parent
    }

    fn enter(&self) {
        netns::enter_for_good(self.namespace.as_fd()).unwrap();
    }

    fn runtime(self: &Arc<Self>) -> tokio::runtime::Runtime {
        let bed = self.clone();
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(move || bed.enter())
            .build()
            .unwrap()
    }

    /// Opens a daemon.
    pub(crate) async fn open(&self) -> Daemon {
        self.open_with(None).await
    }

    /// Opens a daemon that starts so many containers at a time.
    pub(crate) async fn open_with(&self, parallel_starts: Option<usize>) -> Daemon {
        open(self.dir.path(), &self.cgroup_parent, parallel_starts).await
    }

    /// Kills what a failed test left, stopped shims, too.
    fn clear(&self) {
        for shim in shims(self.dir.path().to_str().unwrap()) {
            let _ = kill_process(Pid::from_raw(shim).unwrap(), Signal::KILL);
        }
        let layout = Layout::detect().unwrap();
        if let Ok(cgroup) = Cgroup::at(&layout, format!("/{}", self.cgroup_parent)) {
            // Shims remove the same at the same time.
            for _ in 0..50 {
                let _ = cgroup.kill_all();
                if cgroup.remove().is_ok() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn check_clean(&self) {
        let layout = Layout::detect().unwrap();
        let cgroup = Cgroup::at(&layout, format!("/{}", self.cgroup_parent)).unwrap();
        for (_, dir) in cgroup.dirs().filter(|(_, dir)| dir.exists()) {
            for entry in fs::read_dir(&dir).unwrap() {
                let entry = entry.unwrap();
                assert!(!entry.path().is_dir(), "a cgroup is left: {}", entry.path().display());
            }
        }
        if cgroup.exists() {
            cgroup.remove().unwrap();
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let ours = self.dir.path().to_str().unwrap();
        assert!(!mounts.contains(ours), "a mount is left: {mounts}");
        let bundles = self.run().join("containers");
        if let Ok(mut left) = fs::read_dir(bundles) {
            assert!(left.next().is_none(), "a bundle is left");
        }
    }
}

/// Opens a daemon on directories below `dir`, with the image `busybox` in its store.
pub(crate) async fn open(
    dir: &Path,
    cgroup_parent: &str,
    parallel_starts: Option<usize>,
) -> Daemon {
    let (root, run) = (dir.join("root"), dir.join("run"));
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&run).unwrap();
    let images = Store::open(&root.join("image"), StoreConfig::default()).unwrap();
    if images.resolve("busybox").is_err() {
        import_busybox(&images, dir);
    }
    let networks = Networks::open(&root.join("network"), NetworkConfig::default()).await.unwrap();
    let config = EngineConfig {
        root,
        run,
        cgroup_parent: cgroup_parent.into(),
        parallel_starts,
        open_files: None,
    };
    let shim = ShimBinary::open(&shim_path()).unwrap();
    let engine = Engine::open(config, images.clone(), networks.clone(), shim).await.unwrap();
    Daemon { engine, networks }
}

/// The shims with this in the path of their bundle.
pub(crate) fn shims(path: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let entry = entry.unwrap();
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that has just ended has none.
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if line.contains(path) && line.contains("shim\0") {
            found.push(pid);
        }
    }
    found
}

/// The shim, built if it is not fresh.
pub(crate) fn shim_path() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            if let Some(path) = env::var_os(SHIM) {
                return path.into();
            }
            let built = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "-p", "shoal-runtime", "--bin", "shoal-shim"])
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status()
                .unwrap();
            assert!(built.success(), "the shim does not build");
            // target/<triple>/debug/deps/<this test>
            let own = env::current_exe().unwrap();
            own.parent().unwrap().parent().unwrap().join("shoal-shim")
        })
        .clone()
}

fn import_busybox(images: &Store, dir: &Path) {
    let rootfs = dir.join("rootfs");
    for path in ["bin", "etc", "tmp", "data/sub", "proc", "sys", "dev"] {
        fs::create_dir_all(rootfs.join(path)).unwrap();
    }
    fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
    }
    fs::write(
        rootfs.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    )
    .unwrap();
    fs::write(rootfs.join("etc/group"), "root:x:0:\napp:x:1000:\nextra:x:2000:\n").unwrap();
    fs::write(rootfs.join("etc/not-a-program"), "text").unwrap();
    fs::write(rootfs.join("data/file"), "from the image\n").unwrap();
    let tar = dir.join("rootfs.tar");
    let made = Command::new("tar").arg("-C").arg(&rootfs).arg("-cf").arg(&tar).arg(".").status();
    assert!(made.unwrap().success());
    for (name, volumes) in [("busybox", vec![]), ("voluminous", vec!["/data"])] {
        let config = RunConfig {
            cmd: Some(vec!["sh".into()]),
            env: vec!["PATH=/bin".into(), "FROM_IMAGE=yes".into()],
            volumes: volumes.iter().map(|&path| (path.into(), serde_json::json!({}))).collect(),
            ..RunConfig::default()
        };
        let options = ImportOptions {
            config,
            message: String::new(),
            platform: None,
            created: Timestamp::from_seconds(1_700_000_000),
        };
        let target = Reference::parse(name).unwrap();
        images.import(fs::File::open(&tar).unwrap(), options, Some(&target)).unwrap();
    }
    fs::remove_dir_all(&rootfs).unwrap();
    fs::remove_file(&tar).unwrap();
}

/// A container of busybox on the host's network that runs a line of shell.
pub(crate) fn shell(line: &str) -> CreateContainer {
    CreateContainer {
        config: ContainerConfig {
            image: "busybox".into(),
            cmd: Some(vec!["sh".into(), "-c".into(), line.into()]),
            ..ContainerConfig::default()
        },
        host: HostConfig { network_mode: NetworkMode::Host, ..HostConfig::default() },
        ..CreateContainer::default()
    }
}

/// A container that sleeps until it is told to stop.
pub(crate) fn sleeper() -> CreateContainer {
    shell("trap 'exit 0' TERM; echo ready; sleep 1000 & wait")
}

impl Daemon {
    pub(crate) fn containers(&self) -> &Containers {
        self.engine.containers()
    }

    /// Makes and starts a container.
    pub(crate) async fn start(&self, request: CreateContainer) -> ContainerId {
        let id = self.containers().create(request).await.unwrap().id;
        self.containers().start(id.as_str()).await.unwrap();
        id
    }

    /// Makes and starts a container, and waits for its first line: a sleeper heeds signals then.
    pub(crate) async fn start_ready(&self, request: CreateContainer) -> ContainerId {
        let id = self.start(request).await;
        self.ready(id.as_str()).await;
        id
    }

    /// Waits for a container's first line.
    pub(crate) async fn ready(&self, name: &str) {
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let mut stream = self.containers().logs(name, options).await.unwrap();
        assert!(stream.next().await.is_some(), "{name} ended before it was ready");
    }

    /// Makes, starts and waits for a container: what it wrote, and its exit code.
    pub(crate) async fn run(&self, request: CreateContainer) -> (String, i64) {
        let id = self.containers().create(request).await.unwrap().id;
        let wait = self.containers().wait(id.as_str(), WaitCondition::NextExit).unwrap();
        self.containers().start(id.as_str()).await.unwrap();
        let exit_code = wait.done().await.exit_code;
        let output = self.log(id.as_str()).await;
        self.remove(id.as_str()).await;
        (output, exit_code)
    }

    /// Everything a container has written.
    pub(crate) async fn log(&self, name: &str) -> String {
        let mut stream = self.containers().logs(name, LogOptions::default()).await.unwrap();
        let mut text = Vec::new();
        while let Some(entry) = stream.next().await {
            text.extend_from_slice(&entry.data);
        }
        String::from_utf8(text).unwrap()
    }

    pub(crate) async fn remove(&self, name: &str) {
        let options = RemoveOptions { force: true, volumes: true };
        self.containers().remove(name, options).await.unwrap();
    }

    pub(crate) fn status(&self, name: &str) -> ContainerStatus {
        self.containers().inspect(name).unwrap().state.status
    }

    /// Runs a command in a container: its output and exit code.
    pub(crate) async fn exec(&self, name: &str, command: &[&str]) -> (String, i64) {
        use shoal_engine::domain::{CreateExec, StartExec};
        let request = CreateExec {
            cmd: command.iter().map(|&word| word.into()).collect(),
            attach_stdout: true,
            attach_stderr: true,
            ..CreateExec::default()
        };
        let execs = self.engine.execs();
        let id = execs.create(name, request).unwrap();
        let attached = execs.start(id.as_str(), StartExec::default()).await.unwrap().unwrap();
        let output = read_all(attached).await;
        (output, execs.wait(id.as_str()).await.unwrap())
    }

    /// Ends the daemon's own work; containers go on.
    pub(crate) async fn close(self) {
        self.engine.close().await;
        self.networks.close().await;
    }
}

/// Everything of an attachment's output.
pub(crate) async fn read_all(mut attached: Attached) -> String {
    let mut text = Vec::new();
    while let Some(chunk) = attached.output.next().await {
        text.extend_from_slice(&chunk.data);
    }
    String::from_utf8(text).unwrap()
}

/// Attach to both outputs.
pub(crate) fn outputs() -> AttachOptions {
    AttachOptions { stdout: true, stderr: true, stream: true, ..AttachOptions::default() }
}

/// Asks again and again, as a person would, until it is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}
