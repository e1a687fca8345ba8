//! Each distinct step runs once in a build, however many stages have it.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{CachedStep, cache_key::CacheKey};

/// The steps of this build, by key. A step that is being run is locked.
#[derive(Debug, Default)]
pub(super) struct Once {
    steps: std::sync::Mutex<HashMap<CacheKey, Slot>>,
}

type Slot = Arc<Mutex<Option<CachedStep>>>;

impl Once {
    /// Waits until nobody runs the step, and gives its result, if there is one,
    /// or the place to put it.
    pub(super) async fn step(&self, key: &CacheKey) -> OwnedMutexGuard<Option<CachedStep>> {
        let slot = {
            let mut steps = self.steps.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            steps.entry(key.clone()).or_default().clone()
        };
        slot.lock_owned().await
    }
}
