//! The containers of a node. One file per verb; what verbs share is in the others:
//! [`container`] (one container in memory), [`state`] (where it is in its life),
//! [`table`] (all of them), [`execs`] (what else runs in them), [`record`] (on disk), [`launch`] and [`run`] (from a
//! start to its exit), [`adopt`] (after the daemon was away).

pub(crate) mod adopt;
mod attach;
pub(crate) mod check;
#[expect(clippy::module_inception, reason = "the noun is the noun")]
pub(crate) mod container;
mod create;
mod etc;
pub(crate) mod execs;
mod facts;
mod health;
mod inspect;
mod kill;
mod launch;
mod list;
mod logs;
mod merge;
mod mounts;
pub mod names;
mod network;
mod pause;
mod prune;
pub(crate) mod record;
mod remove;
mod rename;
mod restart;
mod restart_policy;
mod run;
mod start;
pub(crate) mod state;
mod stats;
mod status_text;
mod stop;
pub(crate) mod table;
mod top;
mod update;
mod wait;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use shoal_model::ContainerId;
use shoal_network::SandboxState;

pub(crate) use attach::{detach_keys, window};
pub(crate) use inspect::tree_bytes;
pub(crate) use list::has_label;
pub use wait::Waiting;
pub use watch::StateWatch;

use crate::clock;
use crate::domain::RestartPolicy;
use crate::error::ContainerError;
use crate::events::{Event, Events, ObjectType};
use crate::logs::LogWatch;
use crate::node::{Node, blocking};
use crate::volume::Volumes;
use container::Container;
use execs::ExecTable;
use record::Record;
use state::{Happening, Kept, Refused, RunState};
use table::Table;

/// The containers of a node. Cheap to clone; all clones are one set.
#[derive(Debug, Clone)]
pub struct Containers {
    pub(crate) node: Arc<Node>,
    pub(crate) table: Arc<Table>,
    pub(crate) volumes: Volumes,
    pub(crate) events: Events,
    pub(crate) execs: Arc<ExecTable>,
    pub(crate) log_watch: Arc<LogWatch>,
}

impl Containers {
    /// Tells everyone that something happened to a container.
    pub(crate) fn publish(&self, record: &Record, action: &str, more: &[(&str, String)]) {
        if record.hidden {
            return;
        }
        let mut attributes: BTreeMap<String, String> = record.config.labels.clone();
        attributes.insert("name".into(), record.name.clone());
        attributes.insert("image".into(), record.config.image.clone());
        for (key, value) in more {
            attributes.insert((*key).into(), value.clone());
        }
        self.events.publish(Event {
            time: clock::now(),
            object: ObjectType::Container,
            action: action.into(),
            id: record.id.to_string(),
            attributes,
        });
    }

    /// Tells everyone that a container has joined its networks, or left them.
    pub(crate) fn publish_networks(
        &self,
        record: &Record,
        sandbox: Option<&SandboxState>,
        action: &str,
    ) {
        if record.hidden {
            return;
        }
        for endpoint in sandbox.iter().flat_map(|sandbox| &sandbox.endpoints) {
            let driver = match self.node.networks.inspect(endpoint.network.as_str()) {
                Ok(view) => view.network.driver.as_str(),
                // Removed meanwhile; only a bridge can be.
                Err(_) => "bridge",
            };
            let attributes = [
                ("container", record.id.as_str()),
                ("name", endpoint.network_name.as_str()),
                ("type", driver),
            ];
            self.events.publish(Event {
                time: clock::now(),
                object: ObjectType::Network,
                action: action.into(),
                id: endpoint.network.to_string(),
                attributes: attributes.map(|(key, value)| (key.into(), value.into())).into(),
            });
        }
    }

    /// Lets something happen to a container, or says in Docker's words why it cannot.
    pub(crate) fn happen(
        &self,
        container: &Container,
        happening: Happening,
        change: impl FnOnce(&mut RunState),
    ) -> Result<(), Refused> {
        let mut outcome = Ok(());
        container.state.send_if_modified(|state| {
            outcome = state.apply(happening);
            if outcome.is_ok() {
                change(state);
            }
            outcome.is_ok()
        });
        outcome
    }

    /// Writes a container's state to disk.
    pub(crate) async fn save_state(&self, container: &Arc<Container>) {
        let mut kept = container.disk.lock().await;
        let state = container.state.borrow().clone();
        let now = state.kept();
        // A flush takes as long as a whole start: only where there is something to lose.
        let durable = must_be_synced(&container.record(), now, *kept);
        let (node, id) = (self.node.clone(), container.id.clone());
        match blocking(move || node.paths.write_state(&id, &state, durable)).await {
            Ok(()) if durable => *kept = now,
            Ok(()) => {}
            Err(error) => {
                // The container itself is well; a restart of the daemon will ask its shim.
                tracing::error!(container = %container.id, %error, "cannot store a container's state");
            }
        }
    }

    /// Writes a container's record to disk and makes it the one in memory. Under the gate.
    pub(crate) async fn save_record(
        &self,
        container: &Container,
        record: Record,
    ) -> Result<(), ContainerError> {
        let (node, kept) = (self.node.clone(), record.clone());
        blocking(move || node.paths.write_record(&kept, is_durable(&kept)))
            .await
            .map_err(ContainerError::io(format!("cannot store container {}", record.name)))?;
        container.set_record(record);
        Ok(())
    }
}

/// Whether a container must survive a power cut: not one that would be removed after it.
pub(crate) fn is_durable(record: &Record) -> bool {
    !record.host.auto_remove && !record.hidden
}

/// Whether a container's restart policy may start it after a power cut.
fn is_started_at_boot(record: &Record) -> bool {
    is_durable(record) && record.host.restart_policy != RestartPolicy::No
}

/// Whether a state must survive a power cut of which so much is `kept` already.
fn must_be_synced(record: &Record, now: Kept, kept: Kept) -> bool {
    now != kept && is_started_at_boot(record)
}

/// Docker's sentence for a container that has no process.
pub(crate) fn not_running(id: &ContainerId) -> ContainerError {
    ContainerError::Conflict(format!("container {id} is not running"))
}

#[cfg(test)]
mod tests {
    use shoal_model::Timestamp;

    use super::container::tests::record;
    use super::*;

    #[test]
    fn only_what_a_restart_policy_goes_by_is_synced() {
        let mut web = record(&"a".repeat(64), "web");
        let mut state = RunState::default();
        let never = state.kept();
        state.note_start(false);
        state.started_at = Some(Timestamp::EPOCH);
        let started = state.kept();
        assert!(!must_be_synced(&web, started, never));
        web.host.restart_policy = RestartPolicy::UnlessStopped;
        assert!(must_be_synced(&web, started, never));
        // Again by its policy: nothing new.
        state.note_start(true);
        state.started_at = Some(Timestamp::from_seconds(1));
        assert!(!must_be_synced(&web, state.kept(), started));
        state.stopped_by_hand = true;
        assert!(must_be_synced(&web, state.kept(), started));
        web.hidden = true;
        assert!(!must_be_synced(&web, state.kept(), started));
    }
}
