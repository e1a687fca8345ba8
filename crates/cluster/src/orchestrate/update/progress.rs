//! The update status of a service: how far its update has come.

use shoal_model::swarm::{Service, UpdateConfig, UpdateState, UpdateStatus};

use crate::plan::{Cause, Work};
use crate::store::Change;

/// How changes of the service are rolled out now.
pub(in crate::orchestrate) fn config(service: &Service) -> UpdateConfig {
    let config = match service.update_status.as_ref().map(|status| status.state) {
        Some(UpdateState::RollbackStarted | UpdateState::RollbackPaused) => &service.spec.rollback,
        _ => &service.spec.update,
    };
    config.clone().unwrap_or_default()
}

/// Whether tasks are being replaced now, in either direction.
pub(in crate::orchestrate) fn in_progress(service: &Service) -> bool {
    service.update_status.as_ref().is_some_and(|status| {
        matches!(status.state, UpdateState::Updating | UpdateState::RollbackStarted)
    })
}

/// Whether the service is on its way back to its previous spec.
pub(in crate::orchestrate) fn is_rollback(service: &Service) -> bool {
    service
        .update_status
        .as_ref()
        .is_some_and(|status| status.state == UpdateState::RollbackStarted)
}

/// Says how far the update has come.
pub(super) fn set_status(
    work: &mut Work<'_>,
    service: &Service,
    state: UpdateState,
    message: &str,
) {
    let change = Change::SetUpdateStatus {
        service: service.id.clone(),
        spec_version: service.spec_version,
        status: status(work, service, state, message),
    };
    work.plan(change, Cause::UpdateProgress);
}

/// Returns the service to its previous spec.
pub(super) fn roll_back(work: &mut Work<'_>, service: &Service, message: &str) {
    let change = Change::RollBackService {
        service: service.id.clone(),
        spec_version: service.spec_version,
        status: status(work, service, UpdateState::RollbackStarted, message),
    };
    work.plan(change, Cause::UpdateProgress);
}

/// An update keeps the time of its beginning, also as a roll back.
fn status(work: &Work<'_>, service: &Service, state: UpdateState, message: &str) -> UpdateStatus {
    let before = service.update_status.as_ref().filter(|_| in_progress(service));
    let completed = matches!(state, UpdateState::Completed | UpdateState::RollbackCompleted);
    UpdateStatus {
        state,
        started_at: before.map_or(work.now, |before| before.started_at),
        completed_at: completed.then_some(work.now),
        message: message.to_owned(),
    }
}
