//! A new service.

use shoal_model::swarm::{Endpoint, Service, ServiceSpec, Version};

use super::{CommandError, Decision, Outcome, validate};
use crate::Rng;
use crate::store::{ApplyError, Change, Store};

pub(super) fn decide(
    view: &Store,
    spec: ServiceSpec,
    rng: &mut Rng,
) -> Result<Decision, CommandError> {
    validate::service(view, &spec, None)?;
    let name = &spec.annotations.name;
    if view.service_by_name(name).is_some() {
        return Err(ApplyError::NameTaken { what: "service", name: name.clone() }.into());
    }
    let id = rng.service_id();
    let service = Service {
        id: id.clone(),
        meta: Default::default(),
        endpoint: Endpoint::of(&spec),
        spec,
        spec_version: Version(1),
        previous_spec: None,
        previous_spec_version: None,
        update_status: None,
    };
    Ok(Decision {
        changes: vec![Change::CreateService(Box::new(service))],
        outcome: Outcome::Service(id),
    })
}
