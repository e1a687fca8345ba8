//! Whether a task is still what its service's spec asks for.

use shoal_model::swarm::{Placement, Service, Shared, Task, TaskSpec};

use crate::{constraint, store::Store};

/// Whether a task is what its service asks for now. A task whose service is
/// gone is not.
pub fn is_up_to_date(view: &Store, task: &Task) -> bool {
    view.service(&task.service_id).is_some_and(|service| !is_dirty(view, service, task))
}

/// Whether the task must be replaced to meet the service's spec.
pub(super) fn is_dirty(view: &Store, service: &Service, task: &Task) -> bool {
    if task.spec_version == service.spec_version {
        return false;
    }
    let wanted_endpoint = service.spec.endpoint.as_ref();
    let has_endpoint = task.endpoint.as_ref().map(|endpoint| &endpoint.spec);
    if has_endpoint != wanted_endpoint {
        return true;
    }
    let (has, wanted) = (&task.spec, &service.spec.task);
    if Shared::same(has, wanted) || has == wanted {
        return false;
    }
    !stands_well_anyway(view, task, wanted)
}

/// Only the constraints changed, and the task's node meets the new ones.
fn stands_well_anyway(view: &Store, task: &Task, wanted: &TaskSpec) -> bool {
    let Some(node) = task.node_id.as_ref().and_then(|id| view.node(id)) else { return false };
    if !constraint::all_met(wanted, node) {
        return false;
    }
    without_constraints(&task.spec) == without_constraints(wanted)
}

fn without_constraints(spec: &TaskSpec) -> TaskSpec {
    let mut spec = spec.clone();
    // No placement at all and an empty one ask for the same.
    spec.placement.get_or_insert_with(Placement::default).constraints.clear();
    spec
}
