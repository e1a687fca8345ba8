//! Finds containers again after the daemon was away.
//!
//! ```text
//!  record  bundle  shim answers              →
//!  no      –       –                         rubbish: removed
//!  damaged –       –                         left as it is, running or not, for somebody to mend
//!  yes     no      –                         did not run; if it did by its state, the machine
//!                                            went down under it: exit code 255
//!  yes     yes     Running, Paused           adopted
//!  yes     yes     Idle, Created             half started: taken back, as if never started;
//!                                            so is what runs in networks nobody knows
//!  yes     yes     no, exit.json             ended while the daemon was away
//!  yes     yes     no, no exit.json          its shim was killed: 137
//! ```
//!
//! Hidden containers, steps of a build nobody waits for any more, are removed. Then what ends do follows: removal for `--rm`, a start by the restart policy.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use shoal_image::Lease;
use shoal_model::{Classify as _, ContainerId};
use shoal_runtime::bundle::{Bundle, ExitRecord};
use shoal_runtime::protocol::{Operation, Reply, StateReport, Status};

use super::Containers;
use super::container::Container;
use super::launch::ExitListener;
use super::record::{Record, read_json};
use super::restart_policy::{self, EndedRun};
use super::run::{UNSEEN_EXIT_CODE, unseen_exit};
use super::state::{Happening, Origin, Phase, RunState};
use crate::domain::{MountKind, NetworkMode};
use crate::files::{remove_rubbish, remove_tree};
use crate::node::blocking;
use crate::shim::{ANSWER_DEADLINE, Connection, ShimError, in_time, is_late};

/// Shims spoken with at one time: enough to hide their answers' time.
const PARALLEL_ADOPTIONS: usize = 16;
/// How long a shim may take to end a container that is taken back.
const LEAVE_DEADLINE: Duration = Duration::from_secs(10);

/// Containers this daemon does nothing with: a record is damaged, or names what another has.
/// Those that run go on, and what they run on is kept.
#[derive(Debug)]
pub(crate) struct LeftOut {
    ids: Vec<ContainerId>,
    leases: Vec<Lease>,
}

impl Containers {
    /// Reads all containers from disk; none runs yet as far as anybody can tell.
    pub(crate) async fn load(&self) -> std::io::Result<LeftOut> {
        let node = self.node.clone();
        let Found { containers, damaged } = blocking(move || read_all(&node)).await?;
        let mut left_out = LeftOut { ids: damaged, leases: Vec::new() };
        if !left_out.ids.is_empty() {
            left_out.leases.push(self.node.images.lease_all_layers());
        }
        for (record, state) in containers {
            let lease = self.node.images.lease_layers(&record.layers);
            let reserved = self.table.reserve(&record.name, &record.id);
            match reserved {
                Ok(reservation) => reservation.keep(),
                Err(error) => {
                    tracing::error!(container = %record.id, error = %error.chain(), "a container is left out");
                    left_out.ids.push(record.id);
                    left_out.leases.push(lease);
                    continue;
                }
            }
            for point in &record.mounts {
                if let MountKind::Volume { name: Some(name), .. } = &point.mount.kind {
                    self.volumes.hold(name, &record.id);
                }
            }
            self.table.insert(Container::new(record, state, Some(lease)));
        }
        Ok(left_out)
    }

    /// Takes over what runs, and settles what does not run any more. Runs that ended
    /// while the daemon was away get their exit status here. What [`Containers::load`] has
    /// left out is let alone.
    pub(crate) async fn adopt_all(&self, left_out: &LeftOut) -> std::io::Result<()> {
        let node = self.node.clone();
        let (bundles, rubbish) = blocking(move || node.paths.all_bundles()).await?;
        blocking(move || rubbish.iter().for_each(|path| remove_rubbish(path))).await;
        let orphan = |id: &&ContainerId| self.table.get(id).is_none() && !left_out.ids.contains(id);
        for id in bundles.iter().filter(orphan) {
            self.remove_orphan(id).await;
        }
        let adoptions = futures_util::stream::iter(self.table.all());
        adoptions.for_each_concurrent(PARALLEL_ADOPTIONS, |container| self.adopt(container)).await;
        let all = self.table.all();
        let hidden = all.iter().filter(|container| container.record().hidden);
        futures_util::stream::iter(hidden)
            .for_each_concurrent(PARALLEL_ADOPTIONS, |container| self.remove_hidden(container))
            .await;
        Ok(())
    }

    /// Lets restart policies and `--rm` have their turn, for what does not run.
    pub(crate) fn resume_all(&self) {
        for container in self.table.all() {
            let (state, record) = (container.state.borrow().clone(), container.record());
            // What never ran was never acknowledged as started.
            if state.phase.has_process() || state.started_at.is_none() {
                continue;
            }
            let run = EndedRun {
                exit_code: state.exit_code,
                ran_for: Duration::ZERO,
                restart_count: state.restart_count,
                stopped_by_hand: state.stopped_by_hand,
            };
            let again = restart_policy::wants_at_boot(record.host.restart_policy, run);
            if !again && !record.host.auto_remove {
                continue;
            }
            if again && self.happen(&container, Happening::Exited { again: true }, |_| {}).is_err()
            {
                continue;
            }
            let containers = self.clone();
            let delay = again.then_some(Duration::ZERO);
            self.node.tasks.spawn(async move { containers.after_run(&container, delay).await });
        }
    }

    async fn adopt(&self, container: Arc<Container>) {
        let record = container.record();
        let bundle = self.node.paths.bundle(&container.id);
        let before = container.state.borrow().phase;
        let asked = ask_state(&bundle).await;
        let runs = |report: &StateReport| matches!(report.status, Status::Running | Status::Paused);
        if asked.as_ref().is_ok_and(|(_, report)| runs(report)) && !was_running(before) {
            self.recall_start(&container).await;
        }
        match asked {
            Ok((connection, report)) => match report.status {
                Status::Running | Status::Paused if self.lost_networks(&container) => {
                    tracing::warn!(container = %container.id, "a container's networks are not known");
                    self.take_back(&container, connection).await;
                }
                Status::Running | Status::Paused | Status::Exited => {
                    self.adopt_running(&container, connection, report).await;
                }
                Status::Idle | Status::Created => {
                    self.take_back(&container, connection).await;
                }
            },
            Err(_) => {
                let told = blocking({
                    let bundle = bundle.clone();
                    move || bundle.read_exit()
                });
                let ended = match told.await {
                    Ok(Some(ended)) => Some(ended),
                    _ if was_running(before) => Some(unseen(&bundle, &container)),
                    _ => None,
                };
                self.settle_ended(&container, ended).await;
                self.bury(&record, None).await;
                self.remove_bundle(&record).await;
            }
        }
    }

    async fn adopt_running(
        &self,
        container: &Arc<Container>,
        mut connection: Connection,
        report: StateReport,
    ) {
        let pid = report.pid.unwrap_or_default().unsigned_abs();
        let sandbox = container.state.borrow().sandbox.clone();
        if let (Some(sandbox), false) = (&sandbox, report.status == Status::Exited) {
            let adopted = self.node.networks.adopt(&container.id, pid, (**sandbox).clone()).await;
            if let Err(error) = adopted {
                tracing::error!(container = %container.id, error = %error.chain(), "cannot adopt a container's networks");
                // What could not be had again (a port) is no longer shown.
                let left = self.node.networks.state(&container.id).map(Box::new);
                container.state.send_modify(|state| state.sandbox = left);
            }
        }
        let question = match connection.send(Operation::Wait).await {
            Ok(question) => question,
            Err(error) => {
                tracing::error!(container = %container.id, error = %error.chain(), "a shim left while it was adopted");
                let ended = unseen(&self.node.paths.bundle(&container.id), container);
                self.settle_ended(container, Some(ended)).await;
                let record = container.record();
                self.leave_networks(&record).await;
                self.bury(&record, None).await;
                return self.remove_bundle(&record).await;
            }
        };
        let phase = if report.status == Status::Paused { Phase::Paused } else { Phase::Running };
        container.state.send_modify(|state| {
            if let Phase::Starting { from } = state.phase {
                // The daemon was killed before it could say so.
                state.note_start(from == Origin::Restarting);
            }
            state.phase = phase;
            state.pid = pid;
            state.started_at = report.started_at.or(state.started_at);
        });
        self.save_state(container).await;
        let Ok(session) = container.session.clone().try_lock_owned() else {
            tracing::error!(container = %container.id, "a container is adopted twice");
            return;
        };
        let exit = ExitListener { connection, question, process: None };
        self.follow_run(container.clone(), session, exit, None);
    }

    /// What is known of a start that was not noted: it may have been told to somebody.
    async fn recall_start(&self, container: &Container) {
        let (node, id) = (self.node.clone(), container.id.clone());
        match blocking(move || node.paths.read_start(&id)).await {
            Ok(Some(start)) => container.state.send_modify(|state| {
                state.phase = start.phase;
                state.sandbox = start.sandbox;
            }),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(container = %container.id, %error, "a start's state is damaged");
            }
        }
    }

    /// Whether a container runs in networks, and nothing is known about its place there: its
    /// start was never told to anybody, or its state is damaged. It cannot be kept, as its
    /// addresses and ports may become others'.
    fn lost_networks(&self, container: &Container) -> bool {
        let own = match container.record().host.network_mode {
            NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_) => false,
            NetworkMode::Bridge | NetworkMode::Network(_) => true,
        };
        own && container.state.borrow().sandbox.is_none()
    }

    /// A start that was not finished when the daemon went away, and not told to anybody.
    async fn take_back(&self, container: &Arc<Container>, mut connection: Connection) {
        let record = container.record();
        if let Err(error) = delete(&mut connection).await {
            tracing::info!(container = %container.id, error = %error.chain(), "a half-started container is gone");
        }
        self.settle_ended(container, None).await;
        self.bury(&record, None).await;
        self.remove_bundle(&record).await;
    }

    /// Stores the end of a run, or that there was none.
    async fn settle_ended(&self, container: &Arc<Container>, ended: Option<ExitRecord>) {
        let changed = container.state.send_if_modified(|state| {
            let before = state.clone();
            settle(state, ended.as_ref());
            *state != before
        });
        if changed {
            self.save_state(container).await;
        }
    }

    /// Nobody waits any more for a step of a dead daemon's build.
    async fn remove_hidden(&self, container: &Arc<Container>) {
        let removed = async {
            self.kill_hard(container).await?;
            let _gate = container.gate.lock().await;
            self.remove_stopped(container, true).await
        };
        if let Err(error) = removed.await {
            tracing::error!(container = %container.id, error = %error.chain(), "cannot remove a hidden container");
        }
    }

    /// A run without a container: its record was removed, or never written.
    async fn remove_orphan(&self, id: &ContainerId) {
        tracing::info!(container = %id, "removing what is left of a container");
        let bundle = self.node.paths.bundle(id);
        // No shim is the usual case here.
        if let Ok(mut connection) = in_time(ANSWER_DEADLINE, open(&bundle)).await {
            let _ = delete(&mut connection).await;
        }
        let (node, path) = (self.node.clone(), self.node.cgroups.path(id, None));
        let removed = blocking(move || {
            let path = cgroup_of(&bundle).unwrap_or(path);
            node.cgroups.clear(&path)?;
            remove_tree(bundle.dir())
        })
        .await;
        if let Err(error) = removed {
            tracing::error!(container = %id, %error, "cannot remove what is left of a container");
        }
    }
}

/// What a run's end, or its absence, makes of a state. Pure.
fn settle(state: &mut RunState, ended: Option<&ExitRecord>) {
    // A run that was half started leaves the container what it was before.
    let never_ran =
        ended.is_none_or(|ended| ended.started_at.is_none()) && !was_running(state.phase);
    state.clear_process();
    if never_ran {
        state.phase = match (state.phase, state.started_at) {
            (Phase::Dead | Phase::Removing, _) => Phase::Dead,
            (_, Some(_)) => Phase::Exited,
            (_, None) => Phase::Created,
        };
        return;
    }
    state.phase = Phase::Exited;
    if let Some(ended) = ended {
        state.note_end(ended);
    }
}

fn was_running(phase: Phase) -> bool {
    phase.has_process()
}

/// The end of a run that nobody saw: of a shim that was killed, or of the machine.
fn unseen(bundle: &Bundle, container: &Container) -> ExitRecord {
    match bundle.dir().exists() {
        true => unseen_exit(137, "the container's shim was killed", container),
        false => unseen_exit(UNSEEN_EXIT_CODE, "", container),
    }
}

async fn open(bundle: &Bundle) -> Result<Connection, ShimError> {
    Ok(Connection::open(bundle).await?)
}

/// Where a container stands. A shim that does not answer is taken for dead, and is dead then.
async fn ask_state(bundle: &Bundle) -> Result<(Connection, StateReport), ShimError> {
    let mut connection = in_time(ANSWER_DEADLINE, open(bundle)).await?;
    match in_time(ANSWER_DEADLINE, connection.call(Operation::State)).await {
        Ok(Reply::State(report)) => Ok((connection, report)),
        Ok(other) => Err(ShimError::Unexpected(format!("{other:?}"))),
        Err(error) => {
            kill_late(&connection, &error);
            Err(error)
        }
    }
}

/// Ends a container, and waits until its shim has left.
async fn delete(connection: &mut Connection) -> Result<(), ShimError> {
    let deleted = in_time(LEAVE_DEADLINE, async {
        connection.call(Operation::Delete).await?;
        connection.drain().await
    })
    .await;
    if let Err(error) = &deleted {
        kill_late(connection, error);
    }
    deleted
}

fn kill_late(connection: &Connection, error: &ShimError) {
    if !is_late(error) {
        return;
    }
    tracing::warn!("a shim does not answer, and is killed");
    if let Err(error) = connection.kill_shim() {
        tracing::error!(%error, "cannot kill a shim");
    }
}

/// The cgroup of a container without a record. Blocks.
fn cgroup_of(bundle: &Bundle) -> Option<PathBuf> {
    let document: serde_json::Value = read_json(&bundle.spec_path()).ok()??;
    Some(document["linux"]["cgroupsPath"].as_str()?.into())
}

/// What is on disk.
struct Found {
    containers: Vec<(Record, RunState)>,
    /// Those whose record cannot be read.
    damaged: Vec<ContainerId>,
}

/// Everything that has a record; what has none is removed. Blocks.
fn read_all(node: &crate::node::Node) -> std::io::Result<Found> {
    let (ids, rubbish) = node.paths.all()?;
    rubbish.iter().for_each(|path| remove_rubbish(path));
    let mut found = Found { containers: Vec::with_capacity(ids.len()), damaged: Vec::new() };
    for id in ids {
        if let Err(error) = node.paths.close_files(&id) {
            tracing::warn!(container = %id, %error, "cannot close a container's files");
        }
        match node.paths.read_record(&id) {
            Ok(Some(record)) => {
                let state = node.paths.read_state(&id).unwrap_or_else(|error| {
                    tracing::error!(container = %id, %error, "a container's state is damaged");
                    RunState::default()
                });
                found.containers.push((record, state));
            }
            Ok(None) => remove_rubbish(&node.paths.dir(&id)),
            Err(error) => {
                tracing::error!(container = %id, %error, "a container's record is damaged");
                found.damaged.push(id);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use shoal_model::Timestamp;

    use super::*;

    fn ended(started: bool) -> ExitRecord {
        ExitRecord {
            exit_code: 3,
            signal: None,
            oom_killed: false,
            error: None,
            started_at: started.then_some(Timestamp::from_seconds(1)),
            finished_at: Timestamp::from_seconds(2),
        }
    }

    fn after(phase: Phase, ran: bool, ended: Option<ExitRecord>) -> RunState {
        let started_at = ran.then_some(Timestamp::EPOCH);
        let mut state = RunState { phase, started_at, pid: 9, ..RunState::default() };
        settle(&mut state, ended.as_ref());
        state
    }

    #[test]
    fn a_run_that_ended_unseen_has_its_exit() {
        let state = after(Phase::Running, true, Some(ended(true)));
        assert_eq!((state.phase, state.exit_code, state.pid), (Phase::Exited, 3, 0));
        // Its start was not stored any more, but its program ran.
        let state = after(Phase::Created, false, Some(ended(true)));
        assert_eq!(
            (state.phase, state.started_at),
            (Phase::Exited, Some(Timestamp::from_seconds(1)))
        );
    }

    #[test]
    fn a_half_started_container_is_what_it_was() {
        assert_eq!(after(Phase::Created, false, None).phase, Phase::Created);
        assert_eq!(after(Phase::Created, false, Some(ended(false))).phase, Phase::Created);
        assert_eq!(after(Phase::Exited, true, None).phase, Phase::Exited);
        assert_eq!(after(Phase::Restarting, true, None).phase, Phase::Exited);
    }
}
