//! What must be true after every step, and what must be true at rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use shoal_cluster::{Event, Object, Store, pass};
use shoal_model::swarm::{
    NodeState, Service, ServiceMode, Task, TaskState, UpdateConfig, UpdateOrder, UpdateState,
};
use shoal_model::{ServiceId, SwarmNodeId, TaskId};

use super::{World, agent::Agent};

/// What has to be remembered to judge a state.
#[derive(Default)]
pub(super) struct Invariants {
    /// Tasks whose node was once down under them: nobody could wait for their
    /// end.
    lost: BTreeSet<TaskId>,
    /// Services that ever started first: two in one place are fine there.
    overlapping: BTreeSet<ServiceId>,
}

impl Invariants {
    pub(super) fn watch(&mut self, events: &[Event], store: &Store) {
        for event in events {
            match event {
                Event::Updated { old: Object::Task(old), new: Object::Task(new) } => {
                    moves_forward(old, new);
                }
                Event::Updated { new: Object::Node(node), .. }
                    if node.status.state == NodeState::Down =>
                {
                    self.lost.extend(store.tasks_of_node(&node.id).map(|task| task.id.clone()));
                }
                Event::Created(Object::Service(service))
                | Event::Updated { new: Object::Service(service), .. } => {
                    let order = |config: &Option<UpdateConfig>| {
                        config.as_ref().is_some_and(|c| c.order == UpdateOrder::StartFirst)
                    };
                    if order(&service.spec.update) || order(&service.spec.rollback) {
                        self.overlapping.insert(service.id.clone());
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn check(&self, store: &Store, agents: &BTreeMap<SwarmNodeId, Agent>) {
        one_per_place(self, store, agents);
        nothing_is_given_twice(store);
        no_more_than_two_per_place(store);
    }
}

/// Observed states, desired states and nodes of a task never go back.
fn moves_forward(old: &Task, new: &Task) {
    assert!(old.status.state.may_become(new.status.state), "{old:?} {new:?}");
    assert!(old.desired_state <= new.desired_state, "{old:?} {new:?}");
    assert!(old.node_id.is_none() || old.node_id == new.node_id, "{old:?} {new:?}");
}

/// No place has two running containers, except where that was asked for or a
/// node was lost.
fn one_per_place(known: &Invariants, store: &Store, agents: &BTreeMap<SwarmNodeId, Agent>) {
    let mut running: BTreeMap<(ServiceId, u64, Option<SwarmNodeId>), TaskId> = BTreeMap::new();
    for (node, agent) in agents {
        for id in agent.running() {
            let Some(task) = store.task(id) else { continue };
            let excused = known.lost.contains(id) || known.overlapping.contains(&task.service_id);
            if excused {
                continue;
            }
            let bound = (task.slot == 0).then(|| node.clone());
            let place = (task.service_id.clone(), task.slot, bound);
            if let Some(other) = running.insert(place, id.clone()) {
                panic!("two run in one place: {} {:?}", task.name(), store.task(&other));
            }
        }
    }
}

/// What tasks reserve on a node is there.
fn nothing_is_given_twice(store: &Store) {
    for node in store.nodes() {
        let reserved: i64 = store
            .tasks_of_node(&node.id)
            .filter(|task| task.status.state >= TaskState::Assigned && task.holds_resources())
            .filter_map(|task| task.spec.resources.as_ref()?.reservations.as_ref())
            .map(|reservation| reservation.nano_cpus)
            .sum();
        let capacity = node.description.as_ref().unwrap().resources.nano_cpus;
        assert!(reserved <= capacity, "{}: {reserved} of {capacity}", node.hostname());
    }
}

/// A place never has more than two wanted tasks: the one that runs and the one
/// that will replace it.
fn no_more_than_two_per_place(store: &Store) {
    for service in store.services() {
        let ServiceMode::Replicated { .. } = service.spec.mode else { continue };
        let mut places: BTreeMap<u64, usize> = BTreeMap::new();
        for task in store.tasks_of_service(&service.id).filter(|task| task.is_wanted()) {
            *places.entry(task.slot).or_default() += 1;
        }
        for (slot, count) in places {
            assert!(count <= 2, "{} tasks in place {slot}", count);
        }
    }
}

impl World {
    /// Whether the cluster is where the user wants it, and says so.
    pub(super) fn at_rest(&mut self) -> Result<(), String> {
        let store = &self.manager.store;
        let mut rng = shoal_cluster::Rng::from_seed(0);
        let plan = pass(store, self.now, &mut rng);
        if !plan.is_empty() {
            return Err(format!("still something to do:\n{}", plan.text(store)));
        }
        if self.agents.values().any(|agent| !agent.is_quiet()) {
            return Err("an agent is busy".to_owned());
        }
        if let Some(node) = store.nodes().find(|node| node.status.state != NodeState::Ready) {
            return Err(format!("{} is {}", node.hostname(), node.status.state.as_str()));
        }
        for service in store.services() {
            self.serves(service)?;
        }
        let wanted = |id: &TaskId| store.task(id).is_some_and(|task| task.is_wanted());
        match self.agents.values().flat_map(Agent::running).find(|id| !wanted(id)) {
            Some(id) => Err(format!("{id} runs and nobody wants it")),
            None => Ok(()),
        }
    }

    /// Whether the service has what it asks for, or cannot have it.
    fn serves(&self, service: &Service) -> Result<(), String> {
        let store = &self.manager.store;
        let name = &service.spec.annotations.name;
        let updating = service.update_status.as_ref().map(|status| status.state);
        if matches!(updating, Some(UpdateState::Updating | UpdateState::RollbackStarted))
            && !self.is_starved(service)
        {
            return Err(format!("{name} is being updated"));
        }
        let expected = match service.spec.mode {
            ServiceMode::Replicated { replicas } => replicas as usize,
            _ => store.nodes().len(),
        };
        let wanted: Vec<_> =
            store.tasks_of_service(&service.id).filter(|task| task.is_wanted()).collect();
        if wanted.len() != expected && !self.is_starved(service) {
            return Err(format!("{name} has {} tasks of {expected}", wanted.len()));
        }
        for task in wanted {
            let agent = task.node_id.as_ref().and_then(|node| self.agents.get(node));
            let seen = agent.and_then(|agent| agent.state_of(&task.id));
            // What finds no room may hold up an update of the rest.
            let starved = self.is_starved(service);
            let running = task.status.state == TaskState::Running
                && seen == Some(TaskState::Running)
                && agent.is_some_and(|agent| agent.running().any(|id| *id == task.id));
            if !running && !starved {
                return Err(format!("{} is {} ({seen:?})", task.name(), task.status.state));
            }
        }
        Ok(())
    }

    fn has_no_room(&self, task: &Task) -> bool {
        task.status.err.starts_with("no suitable node (insufficient resources")
    }

    /// Whether some task of the service finds no node with enough left: then
    /// an update may wait for it for ever.
    fn is_starved(&self, service: &Service) -> bool {
        let tasks = self.manager.store.tasks_of_service(&service.id);
        tasks.filter(|task| task.is_wanted()).any(|task| self.has_no_room(task))
    }

    /// All tasks in words, for a failure's message.
    pub(super) fn picture(&self) -> String {
        let mut text = String::new();
        for task in self.manager.store.tasks() {
            let node = task.node_id.as_ref().and_then(|id| self.manager.store.node(id));
            let agent = task.node_id.as_ref().and_then(|id| self.agents.get(id));
            let _ = writeln!(
                text,
                "{} @{} v{} {:?} wants {} is {} ({}), node says {:?}",
                task.name(),
                node.map_or("-", |node| node.hostname()),
                task.spec_version.0,
                task.origin,
                task.desired_state,
                task.status.state,
                task.status.err,
                agent.and_then(|agent| agent.state_of(&task.id)),
            );
        }
        for service in self.manager.store.services() {
            let _ = writeln!(
                text,
                "{} v{} {:?} {:?}",
                service.spec.annotations.name,
                service.spec_version.0,
                service.spec.mode,
                service.update_status
            );
        }
        text
    }
}
