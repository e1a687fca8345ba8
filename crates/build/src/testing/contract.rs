//! What every [`Worker`] has to do, as tests to run against each.
//!
//! The functions panic with what is wrong; they need nothing but a worker, and
//! a static busybox on the machine.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed promise is a failed test")]

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{AtFlags, Mode, OFlags};
use shoal_image::{ImageConfig, no_progress};
use shoal_model::{Classify as _, Digest, Kind, Platform, Reference};
use tokio::sync::mpsc;

use crate::{
    CachedStep, Context, NewImage, ResolveImage, RunEvent, RunStep, Snapshot as _, Worker,
    cache_key::CacheKey,
    context::{Unpack, unpack},
    testing::busybox_rootfs,
    tree::Tree,
};

/// Runs the whole suite.
pub async fn all<W: Worker>(worker: Arc<W>, under: &Path) {
    layers_add_up(&*worker).await;
    removed_files_stay_removed(&*worker).await;
    let base = busybox_layer(&*worker).await;
    processes_run(&*worker, &base).await;
    scripts_leave_no_trace(&*worker, &base).await;
    processes_write(&*worker, &base).await;
    images_are_found_again(&*worker, &base).await;
    the_cache_remembers(&*worker, &base).await;
    contexts_are_gone_when_dropped(under);
}

async fn layers_add_up<W: Worker>(worker: &W) {
    let empty = worker.snapshot(&[]).await.expect("a snapshot of nothing");
    assert_eq!(names(&empty.root().unwrap()), Vec::<PathBuf>::new());
    assert_eq!(worker.commit(empty).await.unwrap(), None, "nothing was written");
    let first = write(worker, &[], "a", "1").await;
    let second = write(worker, std::slice::from_ref(&first), "b", "2").await;
    let both = worker.snapshot(&[first.clone(), second.clone()]).await.unwrap();
    assert_eq!(names(&both.root().unwrap()), [PathBuf::from("a"), "b".into()]);
    let only = worker.snapshot(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(names(&only.root().unwrap()), [PathBuf::from("a")]);
    assert_eq!(worker.commit(both).await.unwrap(), None, "nothing was written");
}

async fn removed_files_stay_removed<W: Worker>(worker: &W) {
    let first = write(worker, &[], "gone", "1").await;
    let snapshot = worker.snapshot(std::slice::from_ref(&first)).await.unwrap();
    rustix::fs::unlinkat(snapshot.root().unwrap(), "gone", AtFlags::empty()).unwrap();
    let second = worker.commit(snapshot).await.unwrap().expect("a removal is a change");
    let after = worker.snapshot(&[first, second]).await.unwrap();
    assert_eq!(names(&after.root().unwrap()), Vec::<PathBuf>::new());
}

/// A layer with programs in it.
async fn busybox_layer<W: Worker>(worker: &W) -> Vec<Digest> {
    let snapshot = worker.snapshot(&[]).await.unwrap();
    let tree = Tree::new(snapshot.root().unwrap());
    let rootfs = busybox_rootfs().expect("/bin/busybox");
    let how = Unpack::context(crate::ContextLimits::default());
    unpack(&mut rootfs.as_slice(), &tree, Path::new(""), &how).unwrap();
    drop(tree);
    vec![worker.commit(snapshot).await.unwrap().expect("a layer")]
}

async fn processes_run<W: Worker>(worker: &W, base: &[Digest]) {
    let step = RunStep {
        env: vec!["PATH=/bin".into(), "A=b c".into()],
        working_dir: "/etc".into(),
        user: "web:www".into(),
        ..shell("pwd; echo \"$A\"; id -u; id -g; echo err >&2; exit 3")
    };
    let (code, stdout, stderr) = run(worker, base, step).await;
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (3, "/etc\nb c\n33\n99\n", "err\n"));
    let (code, ..) = run(worker, base, shell("sh -c 'kill -9 $$'; exit $?")).await;
    assert_eq!(code, 137, "128 + the signal, as the shell says");
    let many = "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done";
    let (_, stdout, _) = run(worker, base, shell(many)).await;
    assert_eq!(stdout.lines().count(), 5000, "no output is lost");
}

async fn scripts_leave_no_trace<W: Worker>(worker: &W, base: &[Digest]) {
    let path = "/dev/pipes/EOF".to_owned();
    let content = "#!/bin/sh\necho from a script\n".to_owned();
    let step = RunStep {
        arguments: vec![path.clone()],
        scripts: vec![crate::Script { path, content }],
        ..shell("")
    };
    let snapshot = worker.snapshot(base).await.unwrap();
    let (code, stdout, _) = run_in(worker, &snapshot, step).await;
    assert_eq!((code, stdout.as_str()), (0, "from a script\n"));
    assert_eq!(worker.commit(snapshot).await.unwrap(), None, "a script is no part of the image");
}

async fn processes_write<W: Worker>(worker: &W, base: &[Digest]) {
    let snapshot = worker.snapshot(base).await.unwrap();
    let (code, ..) = run_in(worker, &snapshot, shell("echo hi > /new; rm /etc/group")).await;
    assert_eq!(code, 0);
    let layer = worker.commit(snapshot).await.unwrap().expect("a layer");
    let layers = [base, &[layer]].concat();
    let (_, stdout, _) = run(worker, &layers, shell("cat /new; ls /etc")).await;
    assert_eq!(stdout.lines().next(), Some("hi"));
    assert!(!stdout.contains("group"), "{stdout}");
}

async fn images_are_found_again<W: Worker>(worker: &W, base: &[Digest]) {
    let platform = Platform::host();
    let mut config = ImageConfig::new(&platform);
    config.rootfs.diff_ids = base.to_vec();
    config.config.cmd = Some(vec!["sh".into()]);
    let tag = Reference::parse("shoal.test/contract:1").unwrap();
    let image = NewImage { config: config.clone(), tags: vec![tag.clone()], parent: None };
    let id = worker.put_image(image).await.unwrap();
    for name in [tag.familiar(), id.to_string()] {
        let image = ResolveImage { name, platform: platform.clone(), pull: false };
        let source = worker.cache_source(&image.name).await.unwrap();
        let found = worker.resolve(image, no_progress()).await.unwrap();
        assert_eq!((&found.id, &found.config), (&id, &config));
        assert_eq!(source, Some(found));
    }
    assert_eq!(worker.cache_source("shoal.test/contract:2").await.unwrap(), None);
    let more = Reference::parse("shoal.test/contract:3").unwrap();
    worker.tag_image(&id, std::slice::from_ref(&more)).await.unwrap();
    let found = worker.cache_source(&more.familiar()).await.unwrap();
    assert_eq!(found.unwrap().id, id);
    let missing = ResolveImage {
        name: "sha256:0000000000000000000000000000000000000000000000000000000000000000".into(),
        platform,
        pull: false,
    };
    let error = worker.resolve(missing, no_progress()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

async fn the_cache_remembers<W: Worker>(worker: &W, base: &[Digest]) {
    let key = |name: &str| CacheKey::base(None, "contract").step([name]);
    assert_eq!(worker.cached(&key("never")).await.unwrap(), None);
    let step = |layer| CachedStep {
        layer,
        created: "2026-01-02T03:04:05Z".into(),
        description: "RUN x".into(),
        other: Default::default(),
    };
    for (name, step) in [("none", step(None)), ("layer", step(Some(base[0].clone())))] {
        worker.remember(&key(name), &step).await.unwrap();
        assert_eq!(worker.cached(&key(name)).await.unwrap(), Some(step), "{name}");
    }
    let gone = step(Some(Digest::sha256([9; 32])));
    worker.remember(&key("gone"), &gone).await.unwrap();
    assert_eq!(worker.cached(&key("gone")).await.unwrap(), None, "a layer that is not here");
}

fn contexts_are_gone_when_dropped(under: &Path) {
    let context: Context =
        super::TarContext::new().file("a", "1").receive(under).expect("a context");
    let path = context.path().to_owned();
    assert!(path.join("a").exists());
    drop(context);
    assert!(!path.exists());
}

fn shell(text: &str) -> RunStep {
    RunStep {
        arguments: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
        env: vec!["PATH=/bin".into()],
        working_dir: "/".into(),
        user: String::new(),
        network: "none".into(),
        extra_hosts: Vec::new(),
        scripts: Vec::new(),
    }
}

async fn run<W: Worker>(worker: &W, layers: &[Digest], step: RunStep) -> (i64, String, String) {
    let snapshot = worker.snapshot(layers).await.unwrap();
    run_in(worker, &snapshot, step).await
}

async fn run_in<W: Worker>(
    worker: &W,
    snapshot: &W::Snapshot,
    step: RunStep,
) -> (i64, String, String) {
    let (sender, mut events) = mpsc::channel(4);
    let collect = async {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while let Some(event) = events.recv().await {
            match event {
                RunEvent::Started { container } => assert!(container.len() >= 12),
                RunEvent::Stdout(bytes) => stdout.extend(bytes),
                RunEvent::Stderr(bytes) => stderr.extend(bytes),
            }
        }
        (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    };
    let (outcome, (stdout, stderr)) = tokio::join!(worker.run(snapshot, step, sender), collect);
    (outcome.expect("a process that ran").exit_code, stdout, stderr)
}

async fn write<W: Worker>(worker: &W, layers: &[Digest], name: &str, text: &str) -> Digest {
    let snapshot = worker.snapshot(layers).await.unwrap();
    let root = snapshot.root().unwrap();
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&root, name, flags, Mode::from_raw_mode(0o644)).unwrap();
    std::fs::File::from(file).write_all(text.as_bytes()).unwrap();
    drop(root);
    worker.commit(snapshot).await.unwrap().expect("a layer")
}

fn names(root: &impl std::os::fd::AsFd) -> Vec<PathBuf> {
    let tree = Tree::new(root.as_fd().try_clone_to_owned().unwrap());
    let mut names = Vec::new();
    crate::tree::walk(&tree, Path::new(""), &mut |entry| {
        names.push(entry.path.to_owned());
        Ok(crate::tree::Walk::Enter)
    })
    .unwrap();
    names
}
