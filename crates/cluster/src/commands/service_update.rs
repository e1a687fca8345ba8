//! A service changes, or returns to what it was.

use shoal_model::swarm::{
    Endpoint, Service, ServiceMode, ServiceSpec, Shared, UpdateState, UpdateStatus, Version,
};
use shoal_model::{ServiceId, Timestamp};

use super::{CommandError, Decision, RegistryAuthFrom, validate};
use crate::store::{Change, Store};

pub(super) fn decide(
    view: &Store,
    id: &ServiceId,
    version: Version,
    mut spec: ServiceSpec,
    registry_auth_from: RegistryAuthFrom,
) -> Result<Decision, CommandError> {
    validate::service(view, &spec, Some(id))?;
    let Some(service) = view.service(id) else {
        return Err(CommandError::not_found("service", id));
    };
    if spec.annotations.name != service.spec.annotations.name {
        return Err(CommandError::NotImplemented("renaming services is".to_owned()));
    }
    if kind(&spec.mode) != kind(&service.spec.mode) {
        return Err(CommandError::NotImplemented("service mode change is".to_owned()));
    }
    keep_registry_auth(service, &mut spec, registry_auth_from);
    Ok(Decision::done(vec![replace_spec(service, spec, version)]))
}

/// `service rollback`: the previous spec becomes the spec, and the other way
/// round, so that a second roll back undoes the first.
pub(super) fn roll_back(
    view: &Store,
    id: &ServiceId,
    version: Version,
    now: Timestamp,
) -> Result<Decision, CommandError> {
    let Some(service) = view.service(id) else {
        return Err(CommandError::not_found("service", id));
    };
    let mut service = Service::clone(service);
    let Some(previous) = service.previous_spec.take() else {
        return Err(CommandError::Precondition(format!(
            "service {id} does not have a previous spec"
        )));
    };
    service.meta.version = version;
    let current_version = service.spec_version;
    service.spec_version = next_version(&service);
    service.previous_spec_version = Some(current_version);
    service.previous_spec = Some(std::mem::replace(&mut service.spec, previous));
    service.endpoint = Endpoint::of(&service.spec);
    service.update_status = Some(UpdateStatus {
        state: UpdateState::RollbackStarted,
        started_at: now,
        completed_at: None,
        message: "manually requested rollback".to_owned(),
    });
    Ok(Decision::done(vec![Change::UpdateService(Box::new(service))]))
}

/// The change that gives a service its next spec.
pub(super) fn replace_spec(service: &Service, spec: ServiceSpec, version: Version) -> Change {
    let mut service = service.clone();
    service.meta.version = version;
    service.previous_spec_version = Some(service.spec_version);
    service.spec_version = next_version(&service);
    service.endpoint = Endpoint::of(&spec);
    service.previous_spec = Some(std::mem::replace(&mut service.spec, spec));
    // The updater starts over; whether there is anything to do is its to say.
    service.update_status = None;
    Change::UpdateService(Box::new(service))
}

/// Never one that was used before, also after a roll back.
fn next_version(service: &Service) -> Version {
    let newest = service.spec_version.max(service.previous_spec_version.unwrap_or_default());
    Version(newest.0 + 1)
}

fn kind(mode: &ServiceMode) -> std::mem::Discriminant<ServiceMode> {
    std::mem::discriminant(mode)
}

/// The CLI sends credentials only with `--with-registry-auth`; without it
/// those already there go on being used.
fn keep_registry_auth(service: &Service, spec: &mut ServiceSpec, from: RegistryAuthFrom) {
    if !spec.task.container.registry_auth.is_empty() {
        return;
    }
    let source = match from {
        RegistryAuthFrom::Spec => Some(&service.spec),
        RegistryAuthFrom::PreviousSpec => service.previous_spec.as_ref(),
    };
    if let Some(source) = source
        && !source.task.container.registry_auth.is_empty()
    {
        Shared::make_mut(&mut spec.task)
            .container
            .registry_auth
            .clone_from(&source.task.container.registry_auth);
    }
}
