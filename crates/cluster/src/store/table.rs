//! One sort of objects by id, with cheap copies.

use std::{collections::BTreeMap, sync::Arc};

/// Objects by id. A clone shares everything until one of the two is written.
#[derive(Debug)]
pub(super) struct Table<I, T>(Arc<BTreeMap<I, Arc<T>>>);

impl<I, T> Clone for Table<I, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I, T> Default for Table<I, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<I: PartialEq, T: PartialEq> PartialEq for Table<I, T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<I: Ord + Clone, T> Table<I, T> {
    pub(super) fn get(&self, id: &I) -> Option<&Arc<T>> {
        self.0.get(id)
    }

    pub(super) fn values(&self) -> impl ExactSizeIterator<Item = &Arc<T>> {
        self.0.values()
    }

    pub(super) fn contains(&self, id: &I) -> bool {
        self.0.contains_key(id)
    }

    pub(super) fn insert(&mut self, id: I, object: Arc<T>) -> Option<Arc<T>> {
        Arc::make_mut(&mut self.0).insert(id, object)
    }

    pub(super) fn remove(&mut self, id: &I) -> Option<Arc<T>> {
        Arc::make_mut(&mut self.0).remove(id)
    }
}

/// Ids of tasks by what they belong to.
#[derive(Debug)]
pub(super) struct Index<K, V>(Arc<BTreeMap<K, std::collections::BTreeSet<V>>>);

impl<K, V> Clone for Index<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Ord + Clone, V: Ord + Clone> Index<K, V> {
    pub(super) fn of(&self, key: &K) -> impl Iterator<Item = &V> {
        self.0.get(key).into_iter().flatten()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    pub(super) fn add(&mut self, key: K, value: V) {
        Arc::make_mut(&mut self.0).entry(key).or_default().insert(value);
    }

    pub(super) fn remove(&mut self, key: &K, value: &V) {
        let map = Arc::make_mut(&mut self.0);
        if let Some(values) = map.get_mut(key) {
            values.remove(value);
            if values.is_empty() {
                map.remove(key);
            }
        }
    }
}
