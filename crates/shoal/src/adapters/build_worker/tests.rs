//! The contract of workers, and whole builds, on a real engine.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use shoal_build::{
    BuildError, BuildRequest, Context, Event, prepare, render,
    testing::{TarContext, busybox_rootfs, contract},
};
use shoal_engine::domain::ListFilter;
use shoal_model::Digest;
use shoal_server::docker::{BuildAuth, Builder as _, CacheFilter, CacheRecord};
use tokio::sync::mpsc;

use super::Builds;
use crate::adapters::test_machine::{Machine, on_machine};

/// The builds of a machine.
struct Bed {
    machine: Machine,
    builds: Builds,
}

impl Bed {
    fn new(machine: Machine) -> Self {
        let builds = Builds::new(machine.root(), machine.engine.clone(), machine.images.clone());
        Self { machine, builds }
    }

    /// Where contexts are unpacked.
    fn tmp(&self) -> PathBuf {
        self.machine.root().join("tmp")
    }

    fn context(&self, context: TarContext, dockerfile: &str) -> Context {
        let context = context.file("Dockerfile", dockerfile);
        context.receive(&self.tmp()).unwrap()
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
                for line in render::lines(&event) {
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
        self.builds.close().await;
        let all = ListFilter { all: true, ..ListFilter::default() };
        assert_eq!(self.machine.engine.containers().list(&all).unwrap().len(), 0);
        let left = |name: &str| {
            let entries = std::fs::read_dir(self.machine.root().join(name));
            entries.map_or(0, |entries| entries.count())
        };
        assert_eq!((left("tmp"), left("image/ingest"), left("containers")), (0, 0, 0));
        self.machine.close().await;
    }
}

#[test]
fn the_engines_worker_keeps_the_contract() {
    on_machine("contract", |machine| async move {
        let bed = Bed::new(machine);
        let worker = bed.builds.worker(BuildAuth::default());
        contract::all(Arc::new(worker), &bed.tmp()).await;
        bed.close().await;
    });
}

const BASE: &str = "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\n";

#[test]
fn a_build_runs_on_the_engine_and_again_from_the_cache() {
    on_machine("build", |machine| async move {
        let bed = Bed::new(machine);
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
        let (first, text) = bed.build(context(), &dockerfile, request.clone()).await;
        let first = first.unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(text.contains("\n33\n/app\nhello\n"), "{text}");
        assert!(text.contains("\u{1b}[91mproblem\n\u{1b}[0m"), "{text}");
        assert!(text.contains(" ---> Running in "), "{text}");
        assert!(text.ends_with("Successfully tagged shoal.test/x:1\n"), "{text}");
        let image = bed.machine.images.resolve("shoal.test/x:1").unwrap();
        assert_eq!(image.id, first);
        let layers = bed.machine.images.lower_dirs(&image).unwrap();
        assert_eq!(std::fs::read_to_string(layers[0].join("app/a")).unwrap(), "hello\nmore\n");
        // The mount points of the process are no part of the image.
        for directory in &layers {
            for name in ["proc", "sys", "dev", "etc/hosts", "etc/resolv.conf"] {
                assert!(!directory.join(name).exists(), "{name} in {}", directory.display());
            }
        }
        drop(image);
        let (second, text) = bed.build(context(), &dockerfile, request).await;
        assert_eq!(second.unwrap(), first);
        assert_eq!(text.matches("Using cache").count(), 9, "{text}");
        assert!(!text.contains("Running in"), "{text}");
        bed.close().await;
    });
}

#[test]
fn a_failed_and_a_cancelled_build_leave_nothing() {
    on_machine("cancel", |machine| async move {
        let bed = Bed::new(machine);
        let context = || TarContext::new().file("rootfs.tar", busybox_rootfs().unwrap());
        let dockerfile = format!("{BASE}RUN echo before; exit 3\n");
        let (failed, text) = bed.build(context(), &dockerfile, BuildRequest::default()).await;
        assert_eq!(
            failed.unwrap_err().to_string(),
            "The command '/bin/sh -c echo before; exit 3' returned a non-zero code: 3"
        );
        assert!(text.ends_with("before\n"), "{text}");
        let missing = format!("{BASE}RUN [\"/nope\"]\n");
        let (failed, _) = bed.build(context(), &missing, BuildRequest::default()).await;
        let error = failed.unwrap_err().to_string();
        assert!(error.contains("/nope") && error.contains("no such file"), "{error}");

        let dockerfile = format!("{BASE}RUN echo running; sleep 1000\n");
        let context = bed.context(context(), &dockerfile);
        let build = prepare(context, BuildRequest::default()).unwrap();
        let (sender, mut events) = mpsc::channel(16);
        let solving = bed.builds.solve(build, BuildAuth::default(), sender);
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
        bed.close().await;
    });
}

#[test]
fn the_cache_is_seen_and_goes_without_what_images_need() {
    on_machine("cache", |machine| async move {
        let bed = Bed::new(machine);
        let context = || TarContext::new().file("rootfs.tar", busybox_rootfs().unwrap());
        let dockerfile = format!("{BASE}RUN echo a > /a\nCMD [\"a\"]\n");
        let request = BuildRequest {
            tags: vec!["shoal.test/kept:1".parse().unwrap()],
            ..BuildRequest::default()
        };
        let (built, _) = bed.build(context(), &dockerfile, request.clone()).await;
        built.unwrap();
        let (failed, _) =
            bed.build(context(), &format!("{BASE}RUN echo b > /b\nRUN false\n"), request).await;
        failed.unwrap_err();
        let shown = |bed: &Bed| -> Vec<(String, bool, bool, bool)> {
            let records = bed.builds.cache().unwrap().into_iter();
            let used = |record: &CacheRecord| record.last_used.is_some();
            records.map(|r| (r.description.clone(), r.in_use, r.shared, used(&r))).collect()
        };
        let records = shown(&bed);
        assert_eq!(records.len(), 5, "{records:?}");
        assert!(records[0].0.starts_with("ADD file:"), "{records:?}");
        assert_eq!(records[1], ("ENV PATH=/bin".into(), false, true, true));
        assert_eq!(records[2], ("RUN /bin/sh -c echo a > /a".into(), false, true, false));
        assert_eq!(records[3], ("CMD [\"a\"]".into(), false, true, false));
        assert_eq!(records[4], ("RUN /bin/sh -c echo b > /b".into(), false, false, false));

        let pruned = bed.builds.prune(&CacheFilter::default()).unwrap();
        assert_eq!((pruned.ids.len(), pruned.reclaimed), (1, 2));
        assert_eq!(shown(&bed).len(), 4);
        let users = |_: &Digest| Vec::new();
        bed.machine.images.remove("shoal.test/kept:1", false, true, &users).unwrap();
        assert!(bed.machine.images.usage().unreferenced_bytes > 0);
        let pruned = bed.builds.prune(&CacheFilter { all: true, ..CacheFilter::default() });
        assert_eq!(pruned.unwrap().ids.len(), 4);
        assert_eq!((shown(&bed).len(), bed.machine.images.usage().layers_bytes), (0, 0));
        bed.close().await;
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
