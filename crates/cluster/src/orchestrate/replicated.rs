//! Services with a number of replicas.

use std::collections::{BTreeMap, HashMap};

use shoal_model::SwarmNodeId;
use shoal_model::swarm::{Service, TaskOrigin, TaskState};

use super::slot::{Slot, SlotKey, runs, slots};
use super::{filled::filled, new_task::new_task, promote, reap, restart, update};
use crate::plan::{Cause, Work};

/// Brings a service towards its number of replicas and its spec.
pub(crate) fn run(work: &mut Work<'_>, service: &Service, replicas: u64) {
    let wanted = usize::try_from(replicas).unwrap_or(usize::MAX);
    scale_down(work, service, wanted);
    for (key, slot) in &slots(work.view(), service) {
        restart::run(work, service, key, slot);
    }
    let all = slots(work.view(), service);
    let filled = filled(&all, service, work.now);
    if update::run(work, service, &filled) == update::After::LookAgain {
        return;
    }
    fill(work, service, &filled, &all, wanted);
    for slot in slots(work.view(), service).values() {
        promote::run(work, service, slot);
        reap::run(work, service, slot);
    }
}

/// Gives up the places that are too many, with their history.
fn scale_down(work: &mut Work<'_>, service: &Service, wanted: usize) {
    let all = slots(work.view(), service);
    let filled = filled(&all, service, work.now);
    let surplus = filled.len().saturating_sub(wanted);
    for key in leavers(&filled, surplus) {
        for task in all.get(&key).into_iter().flatten() {
            work.want(&task.id, TaskState::Remove, Cause::ScaledDown);
        }
    }
}

/// Which places to give up: those that do not run before those that do, then
/// those on the nodes that have the most, then the highest numbers.
fn leavers(filled: &BTreeMap<SlotKey, Slot>, surplus: usize) -> Vec<SlotKey> {
    if surplus == 0 {
        return Vec::new();
    }
    let mut on_node: HashMap<&SwarmNodeId, usize> = HashMap::new();
    let mut ranked: Vec<_> = filled
        .iter()
        .map(|(key, slot)| {
            let rank = if !slot.iter().any(runs) {
                (1, 0)
            } else if let [only] = slot.as_slice()
                && let Some(node) = &only.node_id
            {
                let rank = on_node.entry(node).or_default();
                *rank += 1;
                (0, *rank)
            } else {
                // Two tasks in one place: in the middle of an update.
                (0, usize::MAX)
            };
            (rank, key)
        })
        .collect();
    ranked.sort();
    ranked.into_iter().rev().take(surplus).map(|(_, key)| key.clone()).collect()
}

/// Makes the missing tasks, in the lowest free places.
fn fill(
    work: &mut Work<'_>,
    service: &Service,
    filled: &BTreeMap<SlotKey, Slot>,
    all: &BTreeMap<SlotKey, Slot>,
    replicas: usize,
) {
    let missing = replicas.saturating_sub(filled.len());
    let open = (1..).map(SlotKey::Replica).filter(|key| !filled.contains_key(key));
    for key in open.take(missing) {
        let busy = all
            .get(&key)
            .is_some_and(|slot| slot.iter().any(|task| promote::may_run(work.view(), task)));
        let desired = if busy { TaskState::Ready } else { TaskState::Running };
        let task = new_task(work, service, &key, TaskOrigin::Fill, desired);
        work.create_task(task, Cause::ScaledUp);
    }
}
