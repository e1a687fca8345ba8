//! All containers by id and by name. Lookups and reservations; no IO, no waiting.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use shoal_model::ContainerId;

use super::container::Container;
use crate::error::ContainerError;

/// Shortest begin of an id that is looked up as one; Docker takes any length.
const SHORTEST_PREFIX: usize = 1;

/// All containers of a node.
#[derive(Debug, Default)]
pub(crate) struct Table {
    indexes: RwLock<Indexes>,
}

#[derive(Debug, Default)]
struct Indexes {
    by_id: BTreeMap<ContainerId, Arc<Container>>,
    /// Names in use or reserved; the id may not be in `by_id` yet.
    by_name: HashMap<String, ContainerId>,
}

/// A name that nobody else can take. Dropped without [`Reservation::keep`], it is free again.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    table: &'a Table,
    name: Option<String>,
}

impl Table {
    /// Reserves `name` for `id`.
    pub(crate) fn reserve(
        &self,
        name: &str,
        id: &ContainerId,
    ) -> Result<Reservation<'_>, ContainerError> {
        let mut indexes = self.write();
        if let Some(holder) = indexes.by_name.get(name) {
            return Err(ContainerError::NameTaken {
                name: name.into(),
                holder: holder.to_string(),
            });
        }
        indexes.by_name.insert(name.into(), id.clone());
        Ok(Reservation { table: self, name: Some(name.into()) })
    }

    /// Makes a container visible.
    pub(crate) fn insert(&self, container: Arc<Container>) {
        self.write().by_id.insert(container.id.clone(), container);
    }

    /// Makes a container invisible and its name free.
    pub(crate) fn remove(&self, id: &ContainerId, name: &str) {
        let mut indexes = self.write();
        indexes.by_id.remove(id);
        if indexes.by_name.get(name) == Some(id) {
            indexes.by_name.remove(name);
        }
    }

    /// Frees a name its container no longer has.
    pub(crate) fn free_name(&self, name: &str) {
        self.write().by_name.remove(name);
    }

    /// The container with this id.
    pub(crate) fn get(&self, id: &ContainerId) -> Option<Arc<Container>> {
        self.read().by_id.get(id).cloned()
    }

    /// The container with this id, name or unambiguous begin of an id.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Container>, ContainerError> {
        let indexes = self.read();
        if let Ok(id) = name.parse::<ContainerId>()
            && let Some(container) = indexes.by_id.get(&id)
        {
            return Ok(container.clone());
        }
        let bare = name.strip_prefix('/').unwrap_or(name);
        if let Some(container) = indexes.by_name.get(bare).and_then(|id| indexes.by_id.get(id)) {
            return Ok(container.clone());
        }
        indexes.find_prefix(name)
    }

    /// All containers, in no useful order.
    pub(crate) fn all(&self) -> Vec<Arc<Container>> {
        self.read().by_id.values().cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Indexes> {
        self.indexes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Indexes> {
        self.indexes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Indexes {
    fn find_prefix(&self, prefix: &str) -> Result<Arc<Container>, ContainerError> {
        let not_found = || ContainerError::NotFound(prefix.into());
        let digits = prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if prefix.len() < SHORTEST_PREFIX || prefix.len() > 64 || !digits {
            return Err(not_found());
        }
        // The smallest id with this begin, so that the search starts there.
        let first: ContainerId = format!("{prefix:0<64}").parse().map_err(|_| not_found())?;
        let mut matches = self
            .by_id
            .range(first..)
            .take_while(|(id, _)| id.as_str().starts_with(prefix))
            .map(|(_, container)| container);
        let found = matches.next().ok_or_else(not_found)?;
        match matches.next() {
            Some(_) => Err(ContainerError::Ambiguous(prefix.into())),
            None => Ok(found.clone()),
        }
    }
}

impl Reservation<'_> {
    /// The name is taken for good.
    pub(crate) fn keep(mut self) {
        self.name = None;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.table.free_name(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::container::tests::container;

    fn table(ids: &[&str]) -> Table {
        let table = Table::default();
        for (index, id) in ids.iter().enumerate() {
            let container = container(&format!("{id:0<64}"), &format!("name{index}"));
            let name = container.record().name.clone();
            table.reserve(&name, &container.id).unwrap().keep();
            table.insert(container);
        }
        table
    }

    #[test]
    fn found_by_id_name_and_begin() {
        let table = table(&["aaaa", "aabb", "cc"]);
        assert_eq!(table.find("name1").unwrap().record().name, "name1");
        assert_eq!(table.find("/name1").unwrap().record().name, "name1");
        assert_eq!(table.find("c").unwrap().record().name, "name2");
        assert_eq!(table.find("aab").unwrap().record().name, "name1");
        let message = table.find("aa").unwrap_err().to_string();
        assert_eq!(message, "Multiple IDs found with provided prefix: aa");
        for missing in ["dd", "", "zz", "aaaac"] {
            assert_eq!(
                table.find(missing).unwrap_err().to_string(),
                format!("No such container: {missing}")
            );
        }
    }

    #[test]
    fn a_name_is_taken_until_it_is_freed() {
        let table = table(&["aa"]);
        let other: ContainerId = "b".repeat(64).parse().unwrap();
        let message = table.reserve("name0", &other).unwrap_err().to_string();
        assert_eq!(
            message,
            format!(
                "Conflict. The container name \"/name0\" is already in use by container \"{:0<64}\". \
                 You have to remove (or rename) that container to be able to reuse that name.",
                "aa"
            )
        );
        drop(table.reserve("fresh", &other).unwrap());
        table.reserve("fresh", &other).unwrap().keep();
        assert!(table.reserve("fresh", &other).is_err());
    }
}
