//! The build cache: a pin of the store for each step. The steps that were not
//! used for longest go when there is too much of it, or when somebody prunes.

mod records;
mod uses;

use std::collections::BTreeSet;

use shoal_build::{CachedStep, WorkerError, cache_key::CacheKey};
use shoal_image::{Lease, Pin, Store};
use shoal_model::{Classify as _, Kind, Timestamp};
use shoal_server::docker::{CacheFilter, CachePruned};

use super::worker_error;

pub(super) use records::records;
pub(super) use uses::Uses;

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

/// Forgets the steps that were not used for longest when there are too many,
/// and writes down what was used. Once per build: it looks at all of them.
/// That the cache stays too long fails no build.
pub(super) fn trim(images: &Store, uses: &Uses) {
    let names = surplus(images, uses);
    let trimmed = names.iter().try_for_each(|old| images.unpin(old));
    let collected = match names.is_empty() {
        true => Ok(0),
        false => images.collect_garbage(),
    };
    if let Err(error) = trimmed.and(collected) {
        tracing::warn!(error = %error.chain(), "cannot trim the build cache");
    }
    uses.save(|key| images.pinned(&format!("{PREFIX}{key}")).is_some());
}

/// The names of the steps beyond the limits.
fn surplus(images: &Store, uses: &Uses) -> Vec<String> {
    let mut pins = images.pins(PREFIX);
    pins.sort_by_cached_key(|pin| {
        let used = uses.of(key_of(pin)).last_used;
        std::cmp::Reverse(used.map_or(pin.created, |used| used.max(pin.created)))
    });
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

fn key_of(pin: &Pin) -> &str {
    pin.name.strip_prefix(PREFIX).unwrap_or_default()
}

/// Forgets the steps a filter takes, and removes the layers nothing else holds.
pub(super) fn prune(
    images: &Store,
    uses: &Uses,
    filter: &CacheFilter,
) -> Result<CachePruned, WorkerError> {
    let records = records(images, uses)?;
    let ids = records::victims(records, filter);
    let unpinned = ids.iter().try_for_each(|id| images.unpin(&format!("{PREFIX}{id}")));
    // What was let go of goes, whatever stopped the rest.
    let reclaimed = images.collect_garbage();
    uses.save(|key| images.pinned(&format!("{PREFIX}{key}")).is_some());
    unpinned.map_err(|error| worker_error(&error))?;
    let reclaimed = reclaimed.map_err(|error| worker_error(&error))?;
    Ok(CachePruned { ids, reclaimed })
}
