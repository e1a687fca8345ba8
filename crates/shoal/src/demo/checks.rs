//! What the demo claims, asked of the cluster itself.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::client::{Client, Filters, Query};

/// Between two looks at the cluster.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A service's tasks as the manager sees them.
pub(super) struct Tasks(Vec<Value>);

impl Tasks {
    /// All tasks of `service` that are not just history.
    pub(super) async fn of(client: &Client, service: &str) -> Result<Self> {
        let filters = Filters::default().with("service", service);
        let tasks = client.get("/tasks", &Query::new().with_filters(&filters)).await?;
        Ok(Self(tasks.as_array().cloned().unwrap_or_default()))
    }

    /// Tasks that run and should.
    pub(super) fn running(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(|task| {
            task["Status"]["State"] == "running" && task["DesiredState"] == "running"
        })
    }

    /// How many of them are on each node, by node id.
    pub(super) fn by_node(&self) -> BTreeMap<&str, usize> {
        let mut nodes = BTreeMap::new();
        for task in self.running() {
            *nodes.entry(task["NodeID"].as_str().unwrap_or_default()).or_default() += 1;
        }
        nodes
    }

    /// Tasks that still run anything, wanted or not.
    pub(super) fn alive(&self) -> usize {
        let over = ["complete", "shutdown", "failed", "rejected", "remove", "orphaned"];
        self.0
            .iter()
            .filter(|t| !over.contains(&t["Status"]["State"].as_str().unwrap_or("")))
            .count()
    }

    /// Running tasks whose image ends with `tag`.
    pub(super) fn running_image(&self, tag: &str) -> usize {
        let image = |task: &&Value| {
            let image = task["Spec"]["ContainerSpec"]["Image"].as_str().unwrap_or_default();
            image.split('@').next().unwrap_or_default().ends_with(tag)
        };
        self.running().filter(image).count()
    }

    /// The first few tasks that do not run, with the reason.
    fn complaints(&self) -> String {
        let wanted = self.0.iter().filter(|task| {
            task["DesiredState"] == "running" && task["Status"]["State"] != "running"
        });
        let text = |task: &Value| {
            let status = &task["Status"];
            format!(
                "slot {} is {}: {}{}",
                task["Slot"], status["State"], status["Message"], status["Err"]
            )
        };
        wanted.take(3).map(text).collect::<Vec<_>>().join("; ")
    }
}

/// Waits until `service` is as `reached` wants it; tells why when it is not
/// after `within`.
pub(super) async fn until(
    client: &Client,
    service: &str,
    what: &str,
    within: Duration,
    reached: impl Fn(&Tasks) -> bool,
) -> Result<()> {
    let start = Instant::now();
    loop {
        let tasks = Tasks::of(client, service).await?;
        if reached(&tasks) {
            return Ok(());
        }
        if start.elapsed() > within {
            bail!(
                "after {} s service {service} has {} running, not {what}: {}",
                within.as_secs(),
                tasks.running().count(),
                tasks.complaints()
            );
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
