//! `COPY`, `ADD` and `WORKDIR`: steps that write files without a process.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use shoal_model::{Digest, Kind};

use super::stage::{Stage, nop};
use crate::{
    BuildError, Snapshot, Worker, WorkerError,
    files::{self, Found},
    stage::CopyStep,
    support,
    tree::{Owner, Tree},
    users,
};

/// Makes the working directory if it is missing.
pub(super) async fn workdir<W: Worker>(
    stage: &mut Stage<W>,
    path: String,
) -> Result<(), BuildError> {
    let key = stage.state.key.step(["workdir", path.as_str()]);
    let created_by = nop(&stage.state, &format!("WORKDIR {path}"));
    let mut slot = stage.shared.once.step(&key).await;
    let step = match stage.find(&key, slot.as_ref(), &created_by).await? {
        Some(found) => found,
        None => {
            let directory = PathBuf::from(&path);
            let user = stage.state.config.config.user.clone();
            let line = stage.line;
            let layer = write(stage, move |tree| {
                make_directory(tree, &directory, &user).map_err(|reason| {
                    let message = format!("cannot mkdir: {}: {reason}", directory.display());
                    BuildError::Instruction { line, message }
                })
            })
            .await?;
            stage.remember(&key, layer, format!("WORKDIR {path}")).await?
        }
    };
    *slot = Some(step.clone());
    drop(slot);
    stage.state.config.config.working_dir = path;
    stage.finish(key, &step, created_by).await
}

/// Copies files of the context, of a stage or of an image.
pub(super) async fn copy<W: Worker>(
    stage: &mut Stage<W>,
    step: CopyStep,
) -> Result<(), BuildError> {
    if step.instruction == "ADD" {
        for path in step.paths() {
            if let Some(what) = support::remote(path) {
                return Err(BuildError::Unsupported { line: stage.line, what });
            }
        }
    }
    if step.sources.len() > 1 && !step.destination.ends_with('/') {
        return Err(stage.wrong(format!(
            "When using {} with more than one source file, the destination must be a directory \
             and end with a /",
            step.instruction
        )));
    }
    let source = source_tree(stage, &step).await?;
    let step = Arc::new(step);
    let found = {
        let (step, source) = (step.clone(), source.clone());
        let permit = stage.shared.permits.acquire().await.ok();
        let found = blocking(move || files::find(&step, &source)).await?;
        drop(permit);
        Arc::new(found)
    };
    let mut parts = vec!["copy".to_owned()];
    parts.extend(step.key_parts());
    parts.extend(found.iter().map(Found::identity));
    let key = stage.state.key.step(&parts);
    let chown = step.chown.as_ref().map(|owner| format!("--chown={owner} ")).unwrap_or_default();
    let (label, to) = (files::label(&found), &step.written_destination);
    let comment = format!("{} {chown}{label} in {to} ", step.instruction);
    let created_by = nop(&stage.state, &comment);
    let mut slot = stage.shared.once.step(&key).await;
    let done = match stage.find(&key, slot.as_ref(), &created_by).await? {
        Some(found) => found,
        None => {
            let layer = write(stage, move |tree| files::copy(&step, &source, &found, tree)).await?;
            stage.remember(&key, layer, comment).await?
        }
    };
    *slot = Some(done.clone());
    drop(slot);
    stage.finish(key, &done, created_by).await
}

/// Makes a directory and those above it, as far as they are missing, for the
/// user the image has by now, as BuildKit does.
fn make_directory(tree: &Tree, path: &Path, user: &str) -> Result<(), String> {
    // A user who is not there is no trouble where nothing is made.
    if tree.directory(path).is_ok() {
        return Ok(());
    }
    let owner = if user.is_empty() { Owner::default() } else { users::resolve(tree, user)? };
    tree.make_directories(path, owner).map(|_| ()).map_err(|error| error.to_string())
}

/// Where the sources are; a snapshot lives as long as it is read.
async fn source_tree<W: Worker>(
    stage: &Stage<W>,
    step: &CopyStep,
) -> Result<Arc<files::SourceTree>, BuildError> {
    let Some(from) = &step.from else {
        let tree = stage.shared.context.tree().map_err(|error| failed(&error))?;
        return Ok(Arc::new(files::SourceTree { tree, is_context: true, keep_alive: None }));
    };
    let state = stage.source(from).await?;
    let snapshot = stage.shared.worker.snapshot(&state.config.rootfs.diff_ids).await?;
    blocking(move || {
        let root = snapshot.root().map_err(|error| failed(&error))?;
        let keep_alive: Option<Box<dyn std::any::Any + Send + Sync>> = Some(Box::new(snapshot));
        Ok(Arc::new(files::SourceTree { tree: Tree::new(root), is_context: false, keep_alive }))
    })
    .await
}

/// Writes into a fresh snapshot and makes it a layer.
async fn write<W: Worker>(
    stage: &Stage<W>,
    write: impl FnOnce(&Tree) -> Result<(), BuildError> + Send + 'static,
) -> Result<Option<Digest>, BuildError> {
    // The semaphore is never closed.
    let _permit = stage.shared.permits.acquire().await.ok();
    let snapshot = stage.shared.worker.snapshot(&stage.state.config.rootfs.diff_ids).await?;
    let snapshot = blocking(move || {
        let root = snapshot.root().map_err(|error| failed(&error))?;
        write(&Tree::new(root))?;
        Ok(snapshot)
    })
    .await?;
    Ok(stage.shared.worker.commit(snapshot).await?)
}

fn failed(error: &std::io::Error) -> BuildError {
    WorkerError::new(Kind::Internal, format!("cannot open a file system: {error}")).into()
}

/// Work on files, off the threads that drive futures.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            let message = format!("a step of the build ended unexpectedly: {error}");
            Err(WorkerError::new(Kind::Internal, message).into())
        }
    }
}
