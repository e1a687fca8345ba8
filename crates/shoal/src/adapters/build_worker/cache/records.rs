//! The steps of the cache as they are shown, and which of them a prune takes.

use std::collections::{BTreeSet, HashSet};

use shoal_build::{CachedStep, WorkerError};
use shoal_image::{ListFilter, Store};
use shoal_model::Digest;
use shoal_server::docker::{CacheFilter, CacheRecord};

use super::{PREFIX, Uses, key_of, worker_error};

/// All steps of the cache, the oldest first.
pub(in super::super) fn records(
    images: &Store,
    uses: &Uses,
) -> Result<Vec<CacheRecord>, WorkerError> {
    let known = Known::of(images)?;
    let mut pins = images.pins(PREFIX);
    pins.sort_by_key(|pin| pin.created);
    let mut counted = BTreeSet::new();
    let mut records = Vec::new();
    for pin in pins {
        let step: Option<CachedStep> = serde_json::from_value(pin.data.clone()).ok();
        let layers = pin.layers.iter().filter(|layer| counted.insert((*layer).clone()));
        let size = layers.filter_map(|layer| images.layer(layer)).map(|layer| layer.size).sum();
        let used = uses.of(key_of(&pin));
        records.push(CacheRecord {
            id: key_of(&pin).to_owned(),
            in_use: used.in_use,
            shared: known.has(&pin.layers, step.as_ref()),
            size,
            created: pin.created,
            last_used: used.last_used,
            uses: used.count,
            description: step.map(|step| step.description).unwrap_or_default(),
        });
    }
    Ok(records)
}

/// What the images that are here are made of.
struct Known {
    layers: HashSet<Digest>,
    /// The times of all steps: a step that made no layer is known by its own.
    steps: HashSet<String>,
}

impl Known {
    fn of(images: &Store) -> Result<Self, WorkerError> {
        let all = ListFilter { all: true, ..ListFilter::default() };
        let mut known = Self { layers: HashSet::new(), steps: HashSet::new() };
        for image in images.list(&all).map_err(|error| worker_error(&error))? {
            known.steps.extend(image.config.history.iter().filter_map(|step| step.created.clone()));
            known.layers.extend(image.layers);
        }
        Ok(known)
    }

    fn has(&self, layers: &[Digest], step: Option<&CachedStep>) -> bool {
        layers.iter().any(|layer| self.layers.contains(layer))
            || step.is_some_and(|step| self.steps.contains(&step.created))
    }
}

/// The ids of the records that go: those the filter takes, until no more is
/// left than may stay. Those that were not used for longest go first.
pub(super) fn victims(mut records: Vec<CacheRecord>, filter: &CacheFilter) -> Vec<String> {
    let mut left: u64 =
        records.iter().filter(|record| !record.shared).map(|record| record.size).sum();
    records.retain(|record| filter.takes(record));
    records.sort_by_key(|record| record.last_used.unwrap_or(record.created));
    let mut ids = Vec::new();
    for record in records {
        if filter.keep_bytes > 0 && left <= filter.keep_bytes {
            break;
        }
        if !record.shared {
            left -= record.size;
        }
        ids.push(record.id);
    }
    ids
}

#[cfg(test)]
mod tests {
    use shoal_model::Timestamp;

    use super::*;

    fn record(id: &str, size: u64, second: i64) -> CacheRecord {
        CacheRecord {
            id: id.to_owned(),
            description: String::new(),
            in_use: false,
            shared: false,
            size,
            created: Timestamp::from_seconds(second),
            last_used: None,
            uses: 0,
        }
    }

    #[test]
    fn those_not_used_for_longest_go_until_few_enough_are_left() {
        let used =
            CacheRecord { last_used: Some(Timestamp::from_seconds(9)), ..record("used", 10, 1) };
        let records = vec![used, record("old", 10, 2), record("new", 10, 3)];
        let keep = |keep_bytes| {
            let filter = CacheFilter { keep_bytes, ..CacheFilter::default() };
            victims(records.clone(), &filter).join(" ")
        };
        assert_eq!(keep(0), "old new used");
        assert_eq!(keep(20), "old");
        assert_eq!(keep(15), "old new");
        assert_eq!(keep(30), "");
    }
}
