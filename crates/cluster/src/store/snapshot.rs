//! The store as one value for serde: the objects, without the indexes.

use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shoal_model::swarm::{Cluster, Config, Node, Secret, Service, Task};

use super::Store;

/// A sequence of the objects behind the pointers.
struct Objects<'a, T, I>(I, std::marker::PhantomData<&'a T>);

impl<'a, T: Serialize, I: Iterator<Item = &'a Arc<T>> + Clone> Serialize for Objects<'a, T, I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone().map(|object| &**object))
    }
}

fn objects<'a, T: 'a>(
    table: impl Iterator<Item = &'a Arc<T>>,
) -> Objects<'a, T, std::vec::IntoIter<&'a Arc<T>>> {
    Objects(table.collect::<Vec<_>>().into_iter(), std::marker::PhantomData)
}

impl Serialize for Store {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut state = serializer.serialize_struct("Store", 7)?;
        state.serialize_field("index", &self.index)?;
        state.serialize_field("cluster", &self.cluster.as_deref())?;
        state.serialize_field("nodes", &objects(self.nodes()))?;
        state.serialize_field("services", &objects(self.services()))?;
        state.serialize_field("tasks", &objects(self.tasks()))?;
        state.serialize_field("secrets", &objects(self.secrets()))?;
        state.serialize_field("configs", &objects(self.configs()))?;
        state.end()
    }
}

/// What [`Store`] is read from.
#[derive(Deserialize)]
#[serde(rename = "Store")]
struct Snapshot {
    index: u64,
    cluster: Option<Cluster>,
    nodes: Vec<Node>,
    services: Vec<Service>,
    tasks: Vec<Task>,
    secrets: Vec<Secret>,
    configs: Vec<Config>,
}

impl<'de> Deserialize<'de> for Store {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Snapshot { index, cluster, nodes, services, tasks, secrets, configs } =
            Snapshot::deserialize(deserializer)?;
        let mut store = Self { index, cluster: cluster.map(Arc::new), ..Self::default() };
        for node in nodes {
            store.nodes.insert(node.id.clone(), Arc::new(node));
        }
        for service in services {
            store.put_service(Arc::new(service));
        }
        for task in tasks {
            store.put_task(task);
        }
        for secret in secrets {
            store.put_secret(Arc::new(secret));
        }
        for config in configs {
            store.put_config(Arc::new(config));
        }
        Ok(store)
    }
}

impl PartialEq for Store {
    /// Equal objects at the same index; the indexes follow from the objects.
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
            && self.cluster == other.cluster
            && self.nodes == other.nodes
            && self.services == other.services
            && self.tasks == other.tasks
            && self.secrets == other.secrets
            && self.configs == other.configs
    }
}
