//! Tasks, by service and by node: every change here is a tolerant one.

use std::sync::Arc;

use shoal_model::swarm::{Shared, Task, TaskState, TaskStatus};
use shoal_model::{SwarmNodeId, TaskId, Timestamp};

use super::{Event, Object, Store};

impl Store {
    pub(super) fn create_task(&mut self, mut task: Task, at: Timestamp) -> Option<Event> {
        if self.tasks.contains(&task.id) || !self.services.contains(&task.service_id) {
            return None;
        }
        self.born(&mut task.meta, at);
        task.created_in = task.meta.version;
        Some(Event::Created(Object::Task(self.put_task(task))))
    }

    /// Files a new task, sharing the service's spec if it is the same.
    pub(super) fn put_task(&mut self, mut task: Task) -> Arc<Task> {
        if let Some(service) = self.services.get(&task.service_id)
            && service.spec.task == task.spec
        {
            task.spec = Shared::clone(&service.spec.task);
        }
        let task = Arc::new(task);
        self.service_tasks.add(task.service_id.clone(), task.id.clone());
        if let Some(node) = &task.node_id {
            self.node_tasks.add(node.clone(), task.id.clone());
        }
        self.tasks.insert(task.id.clone(), Arc::clone(&task));
        task
    }

    pub(super) fn assign_task(
        &mut self,
        id: &TaskId,
        node: SwarmNodeId,
        status: TaskStatus,
        at: Timestamp,
    ) -> Option<Event> {
        self.write_task(id, at, |task| {
            // A task of a global service is born with its node.
            let open = task.status.state < TaskState::Assigned
                && task.node_id.as_ref().is_none_or(|bound| *bound == node);
            if open {
                task.node_id = Some(node);
                task.status = status;
            }
            open
        })
    }

    pub(super) fn set_desired_state(
        &mut self,
        id: &TaskId,
        state: TaskState,
        at: Timestamp,
    ) -> Option<Event> {
        self.write_task(id, at, |task| {
            let forward = task.desired_state < state;
            if forward {
                task.desired_state = state;
            }
            forward
        })
    }

    pub(super) fn observe_task(
        &mut self,
        id: &TaskId,
        status: TaskStatus,
        at: Timestamp,
    ) -> Option<Event> {
        self.write_task(id, at, |task| observe(task, status, at))
    }

    /// Lets `write` change the task; `None` if it is gone or `write` said no.
    fn write_task(
        &mut self,
        id: &TaskId,
        at: Timestamp,
        write: impl FnOnce(&mut Task) -> bool,
    ) -> Option<Event> {
        let old = Arc::clone(self.tasks.get(id)?);
        let mut new = Task::clone(&old);
        if !write(&mut new) {
            return None;
        }
        self.touch(&mut new.meta, at);
        if let (None, Some(node)) = (&old.node_id, &new.node_id) {
            self.node_tasks.add(node.clone(), id.clone());
        }
        let new = Arc::new(new);
        self.tasks.insert(id.clone(), Arc::clone(&new));
        Some(Event::Updated { old: Object::Task(old), new: Object::Task(new) })
    }

    pub(super) fn remove_task(&mut self, id: &TaskId) -> Option<Event> {
        let task = self.tasks.remove(id)?;
        self.service_tasks.remove(&task.service_id, id);
        if let Some(node) = &task.node_id {
            self.node_tasks.remove(node, id);
        }
        Some(Event::Removed(Object::Task(task)))
    }
}

/// Takes a report into the task; false if it is a step back or nothing new.
fn observe(task: &mut Task, status: TaskStatus, at: Timestamp) -> bool {
    let seen = task.status.state;
    if !seen.may_become(status.state) {
        return false;
    }
    let nothing_new = seen == status.state
        && task.status.message == status.message
        && task.status.err == status.err
        && task.status.container == status.container
        && task.status.ports == status.ports;
    if nothing_new {
        return false;
    }
    if status.state == TaskState::Running && task.started_at.is_none() {
        task.started_at = Some(at);
    }
    task.status = TaskStatus { applied_at: Some(at), ..status };
    true
}
