//! The contract of workers, and whole builds, on a real engine in a network
//! namespace of its own.

use std::{
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use shoal_build::{
    BuildError, BuildRequest, Context, Event, prepare, render,
    testing::{TarContext, busybox_rootfs, contract},
};
use shoal_engine::{Engine, EngineConfig, domain::ListFilter};
use shoal_image::{Store, StoreConfig};
use shoal_model::Digest;
use shoal_network::{NetworkConfig, Networks};
use shoal_runtime::launch::ShimBinary;
use shoal_server::docker::{BuildAuth, Builder as _};
use shoal_sys::{
    cgroup::{Cgroup, Layout},
    netns,
};
use tokio::sync::mpsc;

use super::Builds;

/// An engine with nothing in it, gone with the test.
struct Machine {
    directory: tempfile::TempDir,
    engine: Arc<Engine>,
    networks: Arc<Networks>,
    images: Arc<Store>,
    builds: Builds,
    cgroup_parent: String,
}

impl Machine {
    async fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let images = Store::open(&path("image"), StoreConfig::default()).unwrap();
        let networks = Networks::open(&path("network"), NetworkConfig::default()).await.unwrap();
        let cgroup_parent = format!("shoal-test-{name}-{}", std::process::id());
        let config = EngineConfig {
            root: directory.path().to_owned(),
            run: path("run"),
            cgroup_parent: cgroup_parent.clone(),
            parallel_starts: None,
        };
        let shim = ShimBinary::open(&shim()).unwrap();
        let engine = Engine::open(config, images.clone(), networks.clone(), shim).await.unwrap();
        let builds = Builds::new(directory.path(), engine.clone(), images.clone());
        Self { directory, engine, networks, images, builds, cgroup_parent }
    }

    fn context(&self, context: TarContext, dockerfile: &str) -> Context {
        let context = context.file("Dockerfile", dockerfile);
        context.receive(&self.directory.path().join("tmp")).unwrap()
    }

    async fn build(
        &self,
        context: TarContext,
        dockerfile: &str,
        request: BuildRequest,
    ) -> (Result<Digest, BuildError>, String) {
        let context = self.context(context, dockerfile);
        let build = prepare(context, request).unwrap();
        let (sender, mut events) = mpsc::channel(16);
        let collect = async {
            let mut text = String::new();
            while let Some(event) = events.recv().await {
                for line in render::event(&event, false) {
                    if let render::Line::Stream(part) = line {
                        text.push_str(&part);
                    }
                }
            }
            text
        };
        tokio::join!(self.builds.solve(build, BuildAuth::default(), sender), collect)
    }

    /// Nothing of a build is left: no container, no directory.
    async fn close(self) {
        let all = ListFilter { all: true, ..ListFilter::default() };
        assert_eq!(self.engine.containers().list(&all).unwrap().len(), 0);
        let left = |name: &str| {
            let entries = std::fs::read_dir(self.directory.path().join(name));
            entries.map_or(0, |entries| entries.count())
        };
        assert_eq!((left("tmp"), left("image/ingest"), left("containers")), (0, 0, 0));
        self.engine.close().await;
        self.networks.close().await;
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let cgroup = Cgroup::at(&Layout::detect().unwrap(), &self.cgroup_parent).unwrap();
        // Also after a test that failed in the middle.
        let removed = cgroup.kill_all().and_then(|()| cgroup.remove());
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

/// The shim next to this test program.
fn shim() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let path = program.ancestors().nth(2).unwrap().join("shoal-shim");
    assert!(path.exists(), "{} is missing: cargo build -p shoal-runtime", path.display());
    path
}

/// Runs a test on a thread of its own in a fresh network namespace; the threads
/// it starts are there, too.
fn in_own_network<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    let namespace = netns::create().unwrap();
    let run = || {
        netns::enter_for_good(namespace.as_fd()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    };
    std::thread::scope(|scope| {
        if let Err(panic) = scope.spawn(run).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn the_engines_worker_keeps_the_contract() {
    in_own_network(|| async {
        let machine = Machine::new("contract").await;
        let worker = machine.builds.worker(BuildAuth::default());
        contract::all(Arc::new(worker), &machine.directory.path().join("tmp")).await;
        machine.close().await;
    });
}

const BASE: &str = "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\n";

#[test]
fn a_build_runs_on_the_engine_and_again_from_the_cache() {
    in_own_network(|| async {
        let machine = Machine::new("build").await;
        let dockerfile = format!(
            "{BASE}WORKDIR /app\nCOPY a .\nUSER web\nRUN id -u; pwd; cat a; test ! -w /app\n\
             USER root\nRUN --network=none echo more >> a; echo problem >&2\nCMD [\"cat\", \"a\"]\n"
        );
        let context =
            || TarContext::new().file("rootfs.tar", busybox_rootfs().unwrap()).file("a", "hello\n");
        let request = BuildRequest {
            tags: vec!["shoal.test/x:1".parse().unwrap()],
            ..BuildRequest::default()
        };
        let (first, text) = machine.build(context(), &dockerfile, request.clone()).await;
        let first = first.unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(text.contains("\n33\n/app\nhello\n"), "{text}");
        assert!(text.contains("\u{1b}[91mproblem\n\u{1b}[0m"), "{text}");
        assert!(text.contains(" ---> Running in "), "{text}");
        assert!(text.ends_with("Successfully tagged shoal.test/x:1\n"), "{text}");
        let image = machine.images.resolve("shoal.test/x:1").unwrap();
        assert_eq!(image.id, first);
        let layers = machine.images.lower_dirs(&image).unwrap();
        assert_eq!(std::fs::read_to_string(layers[0].join("app/a")).unwrap(), "hello\nmore\n");
        // The mount points of the process are no part of the image.
        for directory in &layers {
            for name in ["proc", "sys", "dev", "etc/hosts", "etc/resolv.conf"] {
                assert!(!directory.join(name).exists(), "{name} in {}", directory.display());
            }
        }
        drop(image);
        let (second, text) = machine.build(context(), &dockerfile, request).await;
        assert_eq!(second.unwrap(), first);
        assert_eq!(text.matches("Using cache").count(), 9, "{text}");
        assert!(!text.contains("Running in"), "{text}");
        machine.close().await;
    });
}

#[test]
fn a_failed_and_a_cancelled_build_leave_nothing() {
    in_own_network(|| async {
        let machine = Machine::new("cancel").await;
        let context = || TarContext::new().file("rootfs.tar", busybox_rootfs().unwrap());
        let dockerfile = format!("{BASE}RUN echo before; exit 3\n");
        let (failed, text) = machine.build(context(), &dockerfile, BuildRequest::default()).await;
        assert_eq!(
            failed.unwrap_err().to_string(),
            "The command '/bin/sh -c echo before; exit 3' returned a non-zero code: 3"
        );
        assert!(text.ends_with("before\n"), "{text}");
        let missing = format!("{BASE}RUN [\"/nope\"]\n");
        let (failed, _) = machine.build(context(), &missing, BuildRequest::default()).await;
        let error = failed.unwrap_err().to_string();
        assert!(error.contains("/nope") && error.contains("no such file"), "{error}");

        let dockerfile = format!("{BASE}RUN echo running; sleep 1000\n");
        let context = machine.context(context(), &dockerfile);
        let build = prepare(context, BuildRequest::default()).unwrap();
        let (sender, mut events) = mpsc::channel(16);
        let solving = machine.builds.solve(build, BuildAuth::default(), sender);
        let until_it_runs = async {
            while let Some(event) = events.recv().await {
                if matches!(event, Event::Output { .. }) {
                    return;
                }
            }
            panic!("the build ended");
        };
        tokio::select! {
            ended = solving => panic!("{ended:?}"),
            () = until_it_runs => {}
        }
        machine.builds.close().await;
        machine.close().await;
    });
}

#[test]
fn what_a_dead_daemon_left_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("build-abc");
    std::fs::create_dir_all(old.join("deep")).unwrap();
    std::fs::create_dir(directory.path().join("other")).unwrap();
    super::remove_old_contexts(directory.path()).unwrap();
    assert!(!old.exists() && directory.path().join("other").exists());
    super::remove_old_contexts(Path::new("/nonexistent/directory")).unwrap();
}
