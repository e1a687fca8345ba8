//! What the worker must still know after its process was killed: its tasks and how far each has
//! come.
//!
//! A file of JSON lines that is only appended to and now and then written anew. It is not
//! fsynced: a killed process loses nothing it wrote, and after a power failure no container runs
//! any more, and the manager sends everything again. Secrets and configs are never written.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use shoal_model::TaskId;
use shoal_model::swarm::{Task, TaskStatus};
use tokio::sync::Notify;

use crate::error::NodeError;

/// Lines beyond those still needed, after which the file is written anew.
const SLACK: usize = 4096;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Record {
    /// The task is held, in this form.
    Held(Arc<Task>),
    /// How far it has come.
    Status(TaskId, TaskStatus),
    /// It is gone.
    Gone(TaskId),
}

/// What the file says about one task.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) task: Option<Arc<Task>>,
    pub(super) status: Option<TaskStatus>,
}

/// Records on their way into the file.
#[derive(Default)]
pub(super) struct Journal {
    waiting: Mutex<Vec<Record>>,
    more: Notify,
}

impl Journal {
    /// Takes a record; it is on its way when this returns.
    pub(super) fn add(&self, record: Record) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        self.more.notify_one();
    }

    /// Waits for records.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }

    /// Writes what is waiting. Blocking.
    pub(super) fn flush(&self, file: &mut JournalFile) -> Result<(), NodeError> {
        let records =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        file.append(records)
    }
}

/// The file.
pub(super) struct JournalFile {
    path: PathBuf,
    file: File,
    lines: usize,
    kept: BTreeMap<TaskId, Kept>,
    /// A write has failed: lines are missing, and the last may be torn.
    damaged: bool,
}

impl JournalFile {
    /// Reads the file, or makes an empty one. A torn last line is dropped. Blocking.
    pub(super) fn open(path: PathBuf) -> Result<Self, NodeError> {
        let mut kept = BTreeMap::new();
        if let Some(bytes) = crate::files::read(&path)? {
            for line in BufReader::new(bytes.as_slice()).lines() {
                let Ok(record) = line
                    .map_err(drop)
                    .and_then(|line| serde_json::from_str::<Record>(&line).map_err(drop))
                else {
                    tracing::info!(path = %path.display(), "a torn line in the journal was dropped");
                    continue;
                };
                remember(&mut kept, record);
            }
        }
        let file = rewrite(&path, &kept)?;
        Ok(Self { path, file, lines: kept.len() * 2, kept, damaged: false })
    }

    /// What it says.
    pub(super) fn kept(&self) -> &BTreeMap<TaskId, Kept> {
        &self.kept
    }

    fn append(&mut self, records: Vec<Record>) -> Result<(), NodeError> {
        let mut text = Vec::new();
        for record in records {
            write_line(&mut text, &record).map_err(|source| failed(&self.path, source))?;
            self.lines += 1;
            remember(&mut self.kept, record);
        }
        if self.damaged || self.lines > self.kept.len() * 2 + SLACK {
            self.file = rewrite(&self.path, &self.kept)?;
            self.lines = self.kept.len() * 2;
            self.damaged = false;
            return Ok(());
        }
        self.file.write_all(&text).map_err(|source| {
            self.damaged = true;
            failed(&self.path, source)
        })
    }
}

fn remember(kept: &mut BTreeMap<TaskId, Kept>, record: Record) {
    match record {
        Record::Held(task) => {
            let id = task.id.clone();
            kept.entry(id).or_default().task = Some(task);
        }
        Record::Status(id, status) => kept.entry(id).or_default().status = Some(status),
        Record::Gone(id) => drop(kept.remove(&id)),
    }
}

fn write_line(text: &mut Vec<u8>, record: &Record) -> std::io::Result<()> {
    serde_json::to_writer(&mut *text, record).map_err(std::io::Error::other)?;
    text.push(b'\n');
    Ok(())
}

/// Writes the file anew with what is still needed.
fn rewrite(path: &Path, kept: &BTreeMap<TaskId, Kept>) -> Result<File, NodeError> {
    let write = || -> std::io::Result<File> {
        let mut text = Vec::new();
        for (id, Kept { task, status }) in kept {
            if let Some(task) = task {
                write_line(&mut text, &Record::Held(Arc::clone(task)))?;
            }
            if let Some(status) = status {
                write_line(&mut text, &Record::Status(id.clone(), status.clone()))?;
            }
        }
        let temporary = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&text)?;
        std::fs::rename(&temporary, path)?;
        Ok(file)
    };
    write().map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: std::io::Error) -> NodeError {
    NodeError::File { what: "write", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use shoal_cluster::Rng;
    use shoal_model::Timestamp;
    use shoal_model::swarm::TaskState;

    use super::*;

    fn status(state: TaskState) -> TaskStatus {
        TaskStatus::new(state, "x", Timestamp::from_seconds(1))
    }

    #[test]
    fn the_file_remembers_the_last_word_about_each_task() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut rng = Rng::from_seed(1);
        let (one, other) = (rng.task_id(), rng.task_id());
        let journal = Journal::default();
        let mut file = JournalFile::open(path.clone()).unwrap();
        journal.add(Record::Status(one.clone(), status(TaskState::Running)));
        journal.add(Record::Status(one.clone(), status(TaskState::Failed)));
        journal.add(Record::Status(other.clone(), status(TaskState::Running)));
        journal.add(Record::Gone(other.clone()));
        journal.flush(&mut file).unwrap();
        // A crash in the middle of a line.
        let mut torn = OpenOptions::new().append(true).open(&path).unwrap();
        torn.write_all(b"{\"Status\":[\"").unwrap();
        let file = JournalFile::open(path).unwrap();
        assert_eq!(file.kept().len(), 1);
        assert_eq!(file.kept()[&one].status.as_ref().unwrap().state, TaskState::Failed);
    }

    #[test]
    fn what_could_not_be_written_is_made_up_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut rng = Rng::from_seed(1);
        let (one, other) = (rng.task_id(), rng.task_id());
        let mut file = JournalFile::open(path.clone()).unwrap();
        // A disk that is full.
        file.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        file.append(vec![Record::Status(one.clone(), status(TaskState::Failed))]).unwrap_err();
        file.append(vec![Record::Status(other, status(TaskState::Running))]).unwrap();
        let file = JournalFile::open(path).unwrap();
        assert_eq!(file.kept().len(), 2);
        assert_eq!(file.kept()[&one].status.as_ref().unwrap().state, TaskState::Failed);
    }

    #[test]
    fn the_file_does_not_grow_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let id = Rng::from_seed(1).task_id();
        let mut file = JournalFile::open(path.clone()).unwrap();
        for _ in 0..3 {
            let records =
                (0..SLACK).map(|_| Record::Status(id.clone(), status(TaskState::Running)));
            file.append(records.collect()).unwrap();
        }
        let lines = std::fs::read_to_string(path).unwrap().lines().count();
        assert!(lines <= SLACK + 2, "{lines}");
    }
}
