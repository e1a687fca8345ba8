//! A process of a build: a hidden container on a snapshot.

use std::{
    fs, io,
    os::{
        fd::AsFd,
        unix::fs::{PermissionsExt as _, chown},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use shoal_build::{RunEvent, RunOutcome, RunStep, Script, WorkerError};
use shoal_engine::{
    Engine, OutputStream,
    domain::{
        AttachOptions, ContainerConfig, CreateContainer, HostConfig, LogConfig, Mount, MountKind,
        Propagation, RemoveOptions, RootfsSource, WaitCondition,
    },
};
use shoal_image::Scratch;
use shoal_model::{Classify as _, ContainerId};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{BuildWorker, LayerSnapshot, blocking, file_error, worker_error};

/// Directories every container mounts something on.
const MOUNT_DIRECTORIES: [&str; 3] = ["dev", "proc", "sys"];

/// Files every container mounts something on.
const MOUNT_FILES: [&str; 3] = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// Runs a process and waits for its end.
pub(super) async fn run(
    worker: &BuildWorker,
    snapshot: &LayerSnapshot,
    step: RunStep,
    events: mpsc::Sender<RunEvent>,
) -> Result<RunOutcome, WorkerError> {
    let request = prepare(snapshot, step).await?;
    let containers = worker.engine.containers();
    let created = containers.create(request).await.map_err(|error| worker_error(&error))?;
    let name = created.id.to_string();
    let container = Running {
        id: Some(created.id),
        engine: worker.engine.clone(),
        scratch: snapshot.keep_alive(),
        cleanups: worker.cleanups.clone(),
    };
    let waiting =
        containers.wait(&name, WaitCondition::NextExit).map_err(|error| worker_error(&error))?;
    let attach =
        AttachOptions { stdout: true, stderr: true, stream: true, ..AttachOptions::default() };
    let mut attached =
        containers.attach(&name, attach).await.map_err(|error| worker_error(&error))?;
    // Whether somebody listens shows with the first output.
    let _ = events.send(RunEvent::Started { container: name.clone() }).await;
    containers.start(&name).await.map_err(|error| worker_error(&error))?;
    while let Some(chunk) = attached.output.next().await {
        let event = match chunk.stream {
            OutputStream::Stdout => RunEvent::Stdout(chunk.data.to_vec()),
            OutputStream::Stderr => RunEvent::Stderr(chunk.data.to_vec()),
        };
        if events.send(event).await.is_err() {
            break;
        }
    }
    let ended = waiting.done().await;
    container.remove().await?;
    Ok(RunOutcome { exit_code: ended.exit_code })
}

/// A container that is removed, whatever becomes of the build.
struct Running {
    id: Option<ContainerId>,
    engine: Arc<Engine>,
    scratch: Arc<Scratch>,
    cleanups: TaskTracker,
}

impl Running {
    async fn remove(mut self) -> Result<(), WorkerError> {
        let Some(id) = &self.id else { return Ok(()) };
        remove(&self.engine, id).await?;
        self.id = None;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let (engine, scratch) = (self.engine.clone(), self.scratch.clone());
        // Without a runtime the daemon is ending: the next one removes it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let cleanup = async move {
            if let Err(error) = remove(&engine, &id).await {
                tracing::warn!(container = %id, error = %error.chain(), "cannot remove the container of a build");
            }
            // The directories it ran on go only now.
            drop(scratch);
        };
        self.cleanups.spawn_on(cleanup, &runtime);
    }
}

async fn remove(engine: &Engine, id: &ContainerId) -> Result<(), WorkerError> {
    let options = RemoveOptions { force: true, volumes: true };
    engine.containers().remove(id.as_str(), options).await.map_err(|error| worker_error(&error))
}

/// The container for a step, its files in place.
async fn prepare(snapshot: &LayerSnapshot, step: RunStep) -> Result<CreateContainer, WorkerError> {
    let network_mode = step.network.parse().map_err(|error| worker_error(&error))?;
    let stubs = snapshot.stubs();
    let overlay = snapshot.overlay();
    let scripts = snapshot.scripts();
    let texts = step.scripts;
    let mounts = blocking(move || {
        let failed = |error: io::Error| file_error("cannot prepare a step", &error);
        // The mount is gone before the container makes its own.
        let root = overlay.mount().map_err(failed)?;
        make_stubs(&root, &stubs).map_err(failed)?;
        drop(root);
        write_scripts(&scripts, &texts).map_err(failed)
    })
    .await?;
    Ok(CreateContainer {
        config: ContainerConfig {
            cmd: Some(step.arguments),
            env: step.env,
            user: step.user,
            workdir: step.working_dir,
            attach_stdout: true,
            attach_stderr: true,
            ..ContainerConfig::default()
        },
        host: HostConfig {
            network_mode,
            extra_hosts: step.extra_hosts,
            mounts,
            log: LogConfig::none(),
            ..HostConfig::default()
        },
        rootfs: RootfsSource::Layers {
            lower: snapshot.lower(),
            upper: snapshot.upper(),
            work: snapshot.work(),
        },
        hidden: true,
        ..CreateContainer::default()
    })
}

/// Makes the mount points a root file system lacks in a directory of their own.
fn make_stubs(root: &impl AsFd, stubs: &Path) -> io::Result<()> {
    for name in MOUNT_DIRECTORIES {
        if look(root, name).is_none() {
            fs::create_dir(stubs.join(name))?;
        }
    }
    // `etc` may be there without the files; its copy must look the same. If it
    // is a link, what it leads to is not ours to copy: the container makes the
    // mount points as it does without a build.
    let etc = look(root, "etc");
    if etc.is_some_and(|etc| FileType::from_raw_mode(etc.st_mode) != FileType::Directory) {
        return Ok(());
    }
    let missing: Vec<_> = MOUNT_FILES.iter().filter(|name| look(root, name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let copy = stubs.join("etc");
    fs::create_dir(&copy)?;
    if let Some(etc) = etc {
        chown(&copy, Some(etc.st_uid), Some(etc.st_gid))?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(etc.st_mode & 0o7777))?;
    }
    missing.into_iter().try_for_each(|name| fs::File::create(stubs.join(name)).map(|_| ()))
}

/// What has a name, links at its end not followed.
fn look(root: &impl AsFd, name: &str) -> Option<Stat> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(root, name, flags, Mode::empty(), how).ok()?;
    rustix::fs::fstat(file).ok()
}

/// Writes the scripts and says how the container sees them.
fn write_scripts(directory: &Path, scripts: &[Script]) -> io::Result<Vec<Mount>> {
    if scripts.is_empty() {
        return Ok(Vec::new());
    }
    fs::create_dir(directory)?;
    scripts
        .iter()
        .enumerate()
        .map(|(index, script)| {
            let source: PathBuf = directory.join(index.to_string());
            fs::write(&source, &script.content)?;
            fs::set_permissions(&source, fs::Permissions::from_mode(0o755))?;
            Ok(Mount {
                destination: script.path.clone(),
                kind: MountKind::Bind {
                    source: source.to_string_lossy().into_owned(),
                    create_source: false,
                    propagation: Propagation::Rprivate,
                    recursive: false,
                },
                read_only: true,
            })
        })
        .collect()
}
