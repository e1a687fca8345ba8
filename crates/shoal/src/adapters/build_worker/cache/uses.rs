//! When steps of the cache were used: in memory, and in one file that is
//! written after builds. It is a hint; what a crash takes of it is no loss.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use serde::{Deserialize, Serialize};
use shoal_image::Lease;
use shoal_model::Timestamp;

/// The file in the daemon's data directory.
const FILE: &str = "build-cache.json";

/// The uses of all steps, by their keys.
#[derive(Debug)]
pub(in super::super) struct Uses {
    file: PathBuf,
    steps: Mutex<BTreeMap<String, Step>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Step {
    last_used: Option<Timestamp>,
    count: u64,
    /// The leases of the builds that used it; those of builds that run live.
    #[serde(skip)]
    builds: Vec<Weak<Lease>>,
}

/// How a step was used.
#[derive(Debug, Default)]
pub(in super::super) struct Use {
    pub(super) last_used: Option<Timestamp>,
    pub(super) count: u64,
    pub(super) in_use: bool,
}

impl Uses {
    /// What an earlier daemon wrote down below its data directory.
    pub(in super::super) fn open(root: &Path) -> Self {
        let file = root.join(FILE);
        let steps = read(&file).unwrap_or_else(|error| {
            tracing::warn!(%error, path = %file.display(), "the uses of the build cache are lost");
            BTreeMap::new()
        });
        Self { file, steps: Mutex::new(steps) }
    }

    /// A build found a step.
    pub(in super::super) fn found(&self, key: &str, build: &Arc<Lease>, now: Timestamp) {
        let mut steps = self.steps();
        let step = steps.entry(key.to_owned()).or_default();
        step.last_used = Some(now);
        step.count += 1;
        step.hold(build);
    }

    /// A build made a step.
    pub(in super::super) fn made(&self, key: &str, build: &Arc<Lease>) {
        let mut step = Step::default();
        step.hold(build);
        self.steps().insert(key.to_owned(), step);
    }

    /// How a step was used.
    pub(super) fn of(&self, key: &str) -> Use {
        let steps = self.steps();
        let Some(step) = steps.get(key) else { return Use::default() };
        let in_use = step.builds.iter().any(|build| build.strong_count() > 0);
        Use { last_used: step.last_used, count: step.count, in_use }
    }

    /// Writes all down but steps that are gone.
    pub(super) fn save(&self, is_here: impl Fn(&str) -> bool) {
        let mut steps = self.steps();
        steps.retain(|key, _| is_here(key));
        if let Err(error) = write(&self.file, &steps) {
            let path = self.file.display();
            tracing::warn!(%error, %path, "the uses of the build cache are not written down");
        }
    }

    fn steps(&self) -> MutexGuard<'_, BTreeMap<String, Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Step {
    fn hold(&mut self, build: &Arc<Lease>) {
        self.builds.retain(|build| build.strong_count() > 0);
        self.builds.push(Arc::downgrade(build));
    }
}

fn read(file: &Path) -> io::Result<BTreeMap<String, Step>> {
    match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        read => Ok(serde_json::from_slice(&read?)?),
    }
}

fn write(file: &Path, steps: &BTreeMap<String, Step>) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, serde_json::to_vec(steps)?)?;
    fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use shoal_image::{Store, StoreConfig};

    use super::*;

    #[test]
    fn uses_outlive_the_daemon_and_a_build_in_use_its_end_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("image"), StoreConfig::default()).unwrap();
        let uses = Uses::open(directory.path());
        let build = Arc::new(store.lease());
        let now = Timestamp::from_seconds(7);
        uses.made("made", &build);
        uses.found("found", &build, now);
        uses.found("gone", &build, now);
        assert!(uses.of("made").in_use && uses.of("found").in_use);
        uses.save(|key| key != "gone");
        drop(build);
        assert!(!uses.of("made").in_use && !uses.of("found").in_use);
        let again = Uses::open(directory.path());
        let used = again.of("found");
        assert_eq!((used.last_used, used.count, used.in_use), (Some(now), 1, false));
        assert_eq!((again.of("gone").count, again.of("made").last_used), (0, None));
        fs::write(directory.path().join(FILE), "{").unwrap();
        assert_eq!(Uses::open(directory.path()).of("found").count, 0);
    }
}
