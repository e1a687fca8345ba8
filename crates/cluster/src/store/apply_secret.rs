//! Secrets and configs: the same rules for both.

use std::sync::Arc;

use shoal_model::swarm::{Config, Secret};
use shoal_model::{ConfigId, SecretId, Timestamp};

use super::apply::{in_sequence, not_found};
use super::{ApplyError, Event, Object, Store};

impl Store {
    pub(super) fn create_secret(
        &mut self,
        mut secret: Secret,
        at: Timestamp,
    ) -> Result<Event, ApplyError> {
        let name = &secret.spec.annotations.name;
        if self.secret_names.contains_key(name) || self.secrets.contains(&secret.id) {
            return Err(ApplyError::NameTaken { what: "secret", name: name.clone() });
        }
        self.born(&mut secret.meta, at);
        let secret = Arc::new(secret);
        self.put_secret(Arc::clone(&secret));
        Ok(Event::Created(Object::Secret(secret)))
    }

    pub(super) fn update_secret(
        &mut self,
        mut secret: Secret,
        at: Timestamp,
    ) -> Result<Event, ApplyError> {
        let Some(old) = self.secrets.get(&secret.id).cloned() else {
            return Err(not_found("secret", secret.id));
        };
        in_sequence(&old.meta, &secret.meta)?;
        secret.meta = old.meta;
        self.touch(&mut secret.meta, at);
        let new = Arc::new(secret);
        self.put_secret(Arc::clone(&new));
        Ok(Event::Updated { old: Object::Secret(old), new: Object::Secret(new) })
    }

    pub(super) fn remove_secret(&mut self, id: &SecretId) -> Result<Event, ApplyError> {
        let secret = self.secrets.remove(id).ok_or_else(|| not_found("secret", id))?;
        Arc::make_mut(&mut self.secret_names).remove(&secret.spec.annotations.name);
        Ok(Event::Removed(Object::Secret(secret)))
    }

    pub(super) fn put_secret(&mut self, secret: Arc<Secret>) {
        let names = Arc::make_mut(&mut self.secret_names);
        names.insert(secret.spec.annotations.name.clone(), secret.id.clone());
        self.secrets.insert(secret.id.clone(), secret);
    }

    pub(super) fn create_config(
        &mut self,
        mut config: Config,
        at: Timestamp,
    ) -> Result<Event, ApplyError> {
        let name = &config.spec.annotations.name;
        if self.config_names.contains_key(name) || self.configs.contains(&config.id) {
            return Err(ApplyError::NameTaken { what: "config", name: name.clone() });
        }
        self.born(&mut config.meta, at);
        let config = Arc::new(config);
        self.put_config(Arc::clone(&config));
        Ok(Event::Created(Object::Config(config)))
    }

    pub(super) fn update_config(
        &mut self,
        mut config: Config,
        at: Timestamp,
    ) -> Result<Event, ApplyError> {
        let Some(old) = self.configs.get(&config.id).cloned() else {
            return Err(not_found("config", config.id));
        };
        in_sequence(&old.meta, &config.meta)?;
        config.meta = old.meta;
        self.touch(&mut config.meta, at);
        let new = Arc::new(config);
        self.put_config(Arc::clone(&new));
        Ok(Event::Updated { old: Object::Config(old), new: Object::Config(new) })
    }

    pub(super) fn remove_config(&mut self, id: &ConfigId) -> Result<Event, ApplyError> {
        let config = self.configs.remove(id).ok_or_else(|| not_found("config", id))?;
        Arc::make_mut(&mut self.config_names).remove(&config.spec.annotations.name);
        Ok(Event::Removed(Object::Config(config)))
    }

    pub(super) fn put_config(&mut self, config: Arc<Config>) {
        let names = Arc::make_mut(&mut self.config_names);
        names.insert(config.spec.annotations.name.clone(), config.id.clone());
        self.configs.insert(config.id.clone(), config);
    }
}
