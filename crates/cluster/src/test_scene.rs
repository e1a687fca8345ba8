//! A cluster at work, for tests: one line per thing that happens.

use shoal_model::swarm::{
    Availability, Node, NodeState, ServiceSpec, Shared, Task, TaskState, TaskStatus,
};
use shoal_model::{ServiceId, TaskId, Timestamp};

use crate::dispatch::{TaskReport, report_tasks};
use crate::test_cluster::{at, node_id, store};
use crate::{Batch, Change, Command, CommandError, Decision, Outcome, Rng, Store, decide, pass};

/// A cluster at work: a store, a clock, and agents that do as they are told.
pub(crate) struct Scene {
    pub(crate) store: Store,
    pub(crate) now: Timestamp,
    pub(crate) rng: Rng,
}

impl Scene {
    /// A cluster with these nodes, all ready.
    pub(crate) fn new(nodes: &[&str]) -> Self {
        Self { store: store(nodes), now: at(0), rng: Rng::from_seed(1) }
    }

    pub(crate) fn apply(&mut self, changes: Vec<Change>) {
        self.store.apply(Batch::new(self.now, changes)).unwrap();
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<Outcome, CommandError> {
        let Decision { changes, outcome } = decide(&self.store, command, self.now, &mut self.rng)?;
        self.store.apply(Batch::new(self.now, changes))?;
        Ok(outcome)
    }

    pub(crate) fn create(&mut self, spec: ServiceSpec) -> ServiceId {
        match self.command(Command::CreateService(Box::new(spec))).unwrap() {
            Outcome::Service(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Changes a service's spec with the version it has now.
    pub(crate) fn update(&mut self, name: &str, write: impl FnOnce(&mut ServiceSpec)) {
        let service = self.store.find_service(name).unwrap();
        let mut spec = service.spec.clone();
        write(&mut spec);
        self.command(Command::UpdateService {
            service: service.id.clone(),
            version: service.meta.version,
            spec: Box::new(spec),
            registry_auth_from: Default::default(),
        })
        .unwrap();
    }

    pub(crate) fn set_image(&mut self, name: &str, image: &str) {
        self.update(name, |spec| Shared::make_mut(&mut spec.task).container.image = image.into());
    }

    pub(crate) fn scale(&mut self, name: &str, replicas: u64) {
        let service = self.store.find_service(name).unwrap().id.clone();
        self.command(Command::ScaleService { service, replicas }).unwrap();
    }

    /// Changes a node past the versions.
    pub(crate) fn edit_node(&mut self, name: &str, write: impl FnOnce(&mut Node)) {
        let old = self.store.node(&node_id(name)).unwrap();
        let mut new = Node::clone(old);
        write(&mut new);
        let node = new.id.clone();
        let mut changes =
            vec![Change::SetNodeStatus { node: node.clone(), status: new.status.clone() }];
        if let Some(description) = new.description.clone() {
            changes.push(Change::SetNodeDescription { node, description: Box::new(description) });
        }
        changes.push(Change::UpdateNode(Box::new(new)));
        self.apply(changes);
    }

    pub(crate) fn node_is(&mut self, name: &str, state: NodeState) {
        self.edit_node(name, |node| node.status.state = state);
    }

    pub(crate) fn drain(&mut self, name: &str) {
        self.edit_node(name, |node| node.spec.availability = Availability::Drain);
    }

    pub(crate) fn after(&mut self, seconds: u64) {
        self.now = self.now + std::time::Duration::from_secs(seconds);
    }

    /// The clock is set back.
    pub(crate) fn set_back(&mut self, seconds: u64) {
        self.now = self.now - std::time::Duration::from_secs(seconds);
    }

    /// One pass, applied; its plan in words.
    pub(crate) fn pass(&mut self) -> String {
        let plan = pass(&self.store, self.now, &mut self.rng);
        let text = plan.text(&self.store);
        for batch in plan.into_batches(self.now) {
            self.store.apply(batch).unwrap();
        }
        text
    }

    /// When the next pass is due by itself, in seconds from the beginning.
    pub(crate) fn deadline(&self) -> Option<i64> {
        let mut rng = self.rng.clone();
        let plan = pass(&self.store, self.now, &mut rng);
        assert!(plan.is_empty(), "not settled:\n{}", plan.text(&self.store));
        plan.next_deadline.map(|time| (time.nanos() - at(0).nanos()) / 1_000_000_000)
    }

    /// What a node says about a task.
    pub(crate) fn report(&mut self, task: &TaskId, state: TaskState) {
        let status = TaskStatus::new(state, state.as_str(), self.now);
        let node = self.store.task(task).unwrap().node_id.clone().unwrap();
        let reports = vec![TaskReport { task: task.clone(), status }];
        let changes = report_tasks(&self.store, &node, reports, self.now).unwrap();
        self.apply(changes);
    }

    /// The one wanted task in this place, `web.3`.
    pub(crate) fn wanted(&self, place: &str) -> std::sync::Arc<Task> {
        let mut found =
            self.store.tasks().filter(|task| task.is_wanted() && task.short_name() == place);
        let task = found.next().unwrap_or_else(|| panic!("no wanted task {place}"));
        assert!(found.next().is_none(), "several wanted tasks {place}");
        task.clone()
    }

    /// The wanted task of this place ends like this.
    pub(crate) fn ends(&mut self, place: &str, state: TaskState) {
        let id = self.wanted(place).id.clone();
        self.report(&id, state);
    }

    /// All agents of ready nodes do what they were told, at once.
    pub(crate) fn agents(&mut self) {
        let tasks: Vec<_> = self.store.tasks().cloned().collect();
        for task in tasks {
            let node = task.node_id.as_ref().and_then(|id| self.store.node(id));
            let alive = node.is_some_and(|node| node.status.state == NodeState::Ready);
            if !alive || task.status.state < TaskState::Assigned || task.status.state.is_terminal()
            {
                continue;
            }
            let goal = task.desired_state.min(TaskState::Shutdown);
            if task.status.state < goal {
                self.report(&task.id, goal);
            }
        }
    }

    /// Passes and agents by turns until nothing is left to do at this time.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1000 {
            let before = self.store.clone();
            self.pass();
            self.agents();
            if self.store.tasks().eq(before.tasks()) && self.store.services().eq(before.services())
            {
                return;
            }
        }
        panic!("does not settle:\n{}", self.pass());
    }

    /// The tasks in words, `web.1@n1 running`, sorted; those not wanted with
    /// where they should go.
    pub(crate) fn tasks(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .store
            .tasks()
            .map(|task| {
                let node = task.node_id.as_ref().and_then(|id| self.store.node(id));
                let node = node.map_or("-", |node| node.hostname());
                let goal = match task.is_wanted() {
                    true => String::new(),
                    false => format!(" to {}", task.desired_state),
                };
                let name = &task.service_annotations.name;
                format!("{name}.{}@{node} {}{goal}", task.slot, task.status.state)
            })
            .collect();
        lines.sort();
        lines
    }

    /// How many tasks of the service run on each node, in the nodes' order by
    /// name.
    pub(crate) fn spread(&self, name: &str) -> Vec<usize> {
        let service = self.store.find_service(name).unwrap();
        let mut nodes: Vec<_> = self.store.nodes().collect();
        nodes.sort_by_key(|node| node.hostname().to_owned());
        nodes
            .iter()
            .map(|node| {
                self.store
                    .tasks_of_node(&node.id)
                    .filter(|task| task.is_wanted() && task.service_id == service.id)
                    .count()
            })
            .collect()
    }

    /// The state and the words of the service's update.
    pub(crate) fn update_status(&self, name: &str) -> String {
        let service = self.store.find_service(name).unwrap();
        match &service.update_status {
            Some(status) => format!("{}: {}", status.state.as_str(), status.message),
            None => "none".to_owned(),
        }
    }
}
