//! The build cache: a pin of the store for each step, newest wins when there
//! is too much of it.

use std::collections::BTreeSet;

use shoal_build::{CachedStep, WorkerError, cache_key::CacheKey};
use shoal_image::{Lease, Pin, Store};
use shoal_model::{Kind, Timestamp};

use super::worker_error;

/// The names of all pins of the cache begin so.
const PREFIX: &str = "build/";

/// Steps remembered; a step is a small file and, maybe, a layer.
const MAX_STEPS: usize = 5_000;

/// Bytes of the layers that are kept for the cache. Docker keeps all until a
/// prune; a disk is not endless.
const MAX_BYTES: u64 = 20 * 1024 * 1024 * 1024;

fn name(key: &CacheKey) -> String {
    format!("{PREFIX}{key}")
}

/// What is remembered under a key; its layer is held by the lease.
pub(super) fn get(images: &Store, lease: &Lease, key: &CacheKey) -> Option<CachedStep> {
    let pin = images.pinned(&name(key))?;
    let step: CachedStep = serde_json::from_value(pin.data).ok()?;
    if let Some(layer) = &step.layer {
        lease.hold_layer(layer);
        images.layer(layer)?;
    }
    Some(step)
}

/// Remembers a step.
pub(super) fn put(
    images: &Store,
    key: &CacheKey,
    step: &CachedStep,
    now: Timestamp,
) -> Result<(), WorkerError> {
    // A layer that is not here cannot be kept, and would not be found either.
    if step.layer.as_ref().is_some_and(|layer| images.layer(layer).is_none()) {
        return Ok(());
    }
    let data = serde_json::to_value(step)
        .map_err(|error| WorkerError::new(Kind::Internal, error.to_string()))?;
    let layers = step.layer.iter().cloned().collect();
    let pin = Pin { name: name(key), layers, blobs: Vec::new(), data, created: now };
    images.pin(&pin).map_err(|error| worker_error(&error))
}

/// Forgets the oldest steps when there are too many. Once per build: it looks at
/// all of them.
pub(super) fn trim(images: &Store) -> Result<(), WorkerError> {
    let names = surplus(images);
    names.iter().try_for_each(|old| images.unpin(old)).map_err(|error| worker_error(&error))
}

/// The names of the oldest steps beyond the limits.
fn surplus(images: &Store) -> Vec<String> {
    let mut pins = images.pins(PREFIX);
    pins.sort_by_key(|pin| std::cmp::Reverse(pin.created));
    let mut bytes = 0;
    let mut counted = BTreeSet::new();
    let mut kept = 0;
    let mut surplus = Vec::new();
    for pin in pins {
        for layer in pin.layers.iter().filter(|layer| counted.insert((*layer).clone())) {
            bytes += images.layer(layer).map_or(0, |layer| layer.size);
        }
        kept += 1;
        if kept > MAX_STEPS || bytes > MAX_BYTES {
            surplus.push(pin.name);
        }
    }
    surplus
}
