//! Services, and the names they are found by.

use std::sync::Arc;

use shoal_model::swarm::{Endpoint, Service, Shared, UpdateStatus, Version};
use shoal_model::{ServiceId, Timestamp};

use super::apply::{in_sequence, not_found};
use super::{ApplyError, Event, Object, Store};

impl Store {
    pub(super) fn create_service(
        &mut self,
        mut service: Service,
        at: Timestamp,
    ) -> Result<Event, ApplyError> {
        let name = &service.spec.annotations.name;
        if self.services.contains(&service.id) {
            return Err(ApplyError::AlreadyExists { what: "service", id: service.id.to_string() });
        }
        if self.service_names.contains_key(name) {
            return Err(ApplyError::NameTaken { what: "service", name: name.clone() });
        }
        self.born(&mut service.meta, at);
        let service = Arc::new(service);
        self.put_service(Arc::clone(&service));
        Ok(Event::Created(Object::Service(service)))
    }

    pub(super) fn update_service(
        &mut self,
        mut service: Service,
        at: Timestamp,
    ) -> Result<Event, ApplyError> {
        let Some(old) = self.services.get(&service.id).cloned() else {
            return Err(not_found("service", service.id));
        };
        in_sequence(&old.meta, &service.meta)?;
        let name = &service.spec.annotations.name;
        if self.service_names.get(name).is_some_and(|id| *id != service.id) {
            return Err(ApplyError::NameTaken { what: "service", name: name.clone() });
        }
        service.meta = old.meta;
        self.touch(&mut service.meta, at);
        if service.spec.task == old.spec.task {
            service.spec.task = Shared::clone(&old.spec.task);
        }
        Ok(self.replace_service(service))
    }

    pub(super) fn remove_service(&mut self, id: &ServiceId) -> Result<Event, ApplyError> {
        let service = self.services.remove(id).ok_or_else(|| not_found("service", id))?;
        Arc::make_mut(&mut self.service_names).remove(&service.spec.annotations.name);
        Ok(Event::Removed(Object::Service(service)))
    }

    pub(super) fn set_update_status(
        &mut self,
        id: &ServiceId,
        spec_version: Version,
        status: UpdateStatus,
        at: Timestamp,
    ) -> Option<Event> {
        let mut new = self.service_of_spec(id, spec_version)?;
        new.update_status = Some(status);
        new.meta.updated_at = at;
        Some(self.replace_service(new))
    }

    /// Returns the service to its previous spec; `None` if there is none.
    pub(super) fn roll_back_service(
        &mut self,
        id: &ServiceId,
        spec_version: Version,
        status: UpdateStatus,
        at: Timestamp,
    ) -> Option<Event> {
        let mut new = self.service_of_spec(id, spec_version)?;
        new.spec = new.previous_spec.take()?;
        new.endpoint = Endpoint::of(&new.spec);
        // A version names one spec for ever: this is a new one, even though an older one said
        // the same.
        new.spec_version = Version(spec_version.0 + 1);
        new.previous_spec_version = None;
        new.update_status = Some(status);
        self.touch(&mut new.meta, at);
        Some(self.replace_service(new))
    }

    /// A copy of the service, if it is there and its spec has not moved on.
    fn service_of_spec(&self, id: &ServiceId, spec_version: Version) -> Option<Service> {
        let service = self.services.get(id).filter(|old| old.spec_version == spec_version)?;
        Some(Service::clone(service))
    }

    fn replace_service(&mut self, service: Service) -> Event {
        let new = Arc::new(service);
        // Only ever called for a service that is there.
        let old = self.services.get(&new.id).cloned().unwrap_or_else(|| Arc::clone(&new));
        Arc::make_mut(&mut self.service_names).remove(&old.spec.annotations.name);
        self.put_service(Arc::clone(&new));
        Event::Updated { old: Object::Service(old), new: Object::Service(new) }
    }

    pub(super) fn put_service(&mut self, service: Arc<Service>) {
        let names = Arc::make_mut(&mut self.service_names);
        names.insert(service.spec.annotations.name.clone(), service.id.clone());
        self.services.insert(service.id.clone(), service);
    }
}
