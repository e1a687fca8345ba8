//! More or fewer replicas.

use shoal_model::ServiceId;
use shoal_model::swarm::ServiceMode;

use super::{CommandError, Decision, service_update::replace_spec, validate};
use crate::store::Store;

pub(super) fn decide(
    view: &Store,
    id: &ServiceId,
    replicas: u64,
) -> Result<Decision, CommandError> {
    let Some(service) = view.service(id) else {
        return Err(CommandError::not_found("service", id));
    };
    let mut spec = service.spec.clone();
    let ServiceMode::Replicated { replicas: wanted } = &mut spec.mode else {
        return Err(CommandError::Invalid(
            "scale can only be used with replicated or replicated-job mode".to_owned(),
        ));
    };
    *wanted = replicas;
    validate::mode(&spec.mode)?;
    Ok(Decision::done(vec![replace_spec(service, spec, service.meta.version)]))
}
