//! Secrets and configs: the same commands with the same rules.

use shoal_model::swarm::{Annotations, Config, ConfigSpec, Secret, SecretSpec, Service, Version};
use shoal_model::{ConfigId, SecretId};

use super::{CommandError, Decision, Outcome, validate};
use crate::Rng;
use crate::store::{ApplyError, Change, Store};

/// Bytes of a secret at most (SwarmKit's: it travels in one log entry).
const MAX_SECRET_BYTES: usize = 500 * 1024;
/// Bytes of a config at most (SwarmKit's since Engine 20.10 is 1000 KiB).
const MAX_CONFIG_BYTES: usize = 1000 * 1024;

pub(super) fn create_secret(
    view: &Store,
    spec: SecretSpec,
    rng: &mut Rng,
) -> Result<Decision, CommandError> {
    validate::file_annotations(&spec.annotations)?;
    check_size("secret", spec.data.len(), MAX_SECRET_BYTES)?;
    if view.secrets().any(|secret| secret.spec.annotations.name == spec.annotations.name) {
        return Err(name_taken("secret", &spec.annotations));
    }
    let id = rng.secret_id();
    let secret = Secret { id: id.clone(), meta: Default::default(), spec };
    Ok(Decision {
        changes: vec![Change::CreateSecret(Box::new(secret))],
        outcome: Outcome::Secret(id),
    })
}

pub(super) fn create_config(
    view: &Store,
    spec: ConfigSpec,
    rng: &mut Rng,
) -> Result<Decision, CommandError> {
    validate::file_annotations(&spec.annotations)?;
    check_size("config", spec.data.len(), MAX_CONFIG_BYTES)?;
    if view.configs().any(|config| config.spec.annotations.name == spec.annotations.name) {
        return Err(name_taken("config", &spec.annotations));
    }
    let id = rng.config_id();
    let config = Config { id: id.clone(), meta: Default::default(), spec };
    Ok(Decision {
        changes: vec![Change::CreateConfig(Box::new(config))],
        outcome: Outcome::Config(id),
    })
}

pub(super) fn update_secret(
    view: &Store,
    id: &SecretId,
    version: Version,
    spec: SecretSpec,
) -> Result<Decision, CommandError> {
    let Some(secret) = view.secret(id) else {
        return Err(CommandError::not_found("secret", id));
    };
    let mut secret = Secret::clone(secret);
    only_labels(&secret.spec.annotations, &secret.spec.data, &spec.annotations, &spec.data)?;
    secret.meta.version = version;
    secret.spec.annotations.labels = spec.annotations.labels;
    Ok(Decision::done(vec![Change::UpdateSecret(Box::new(secret))]))
}

pub(super) fn update_config(
    view: &Store,
    id: &ConfigId,
    version: Version,
    spec: ConfigSpec,
) -> Result<Decision, CommandError> {
    let Some(config) = view.config(id) else {
        return Err(CommandError::not_found("config", id));
    };
    let mut config = Config::clone(config);
    only_labels(&config.spec.annotations, &config.spec.data, &spec.annotations, &spec.data)?;
    config.meta.version = version;
    config.spec.annotations.labels = spec.annotations.labels;
    Ok(Decision::done(vec![Change::UpdateConfig(Box::new(config))]))
}

pub(super) fn remove_secret(view: &Store, id: &SecretId) -> Result<Decision, CommandError> {
    let Some(secret) = view.secret(id) else {
        return Err(CommandError::not_found("secret", id));
    };
    let name = &secret.spec.annotations.name;
    not_in_use(view, "secret", name, |service| {
        service.spec.task.container.secrets.iter().any(|used| used.secret_id == *id)
    })?;
    Ok(Decision::done(vec![Change::RemoveSecret(id.clone())]))
}

pub(super) fn remove_config(view: &Store, id: &ConfigId) -> Result<Decision, CommandError> {
    let Some(config) = view.config(id) else {
        return Err(CommandError::not_found("config", id));
    };
    let name = &config.spec.annotations.name;
    not_in_use(view, "config", name, |service| {
        service.spec.task.container.configs.iter().any(|used| used.config_id == *id)
    })?;
    Ok(Decision::done(vec![Change::RemoveConfig(id.clone())]))
}

fn name_taken(what: &'static str, annotations: &Annotations) -> CommandError {
    ApplyError::NameTaken { what, name: annotations.name.clone() }.into()
}

fn check_size(what: &str, bytes: usize, limit: usize) -> Result<(), CommandError> {
    if (1..limit).contains(&bytes) {
        return Ok(());
    }
    Err(CommandError::Invalid(format!(
        "{what} data must be larger than 0 and less than {limit} bytes"
    )))
}

/// Content and name are what tasks were started with; they stay.
fn only_labels(
    old: &Annotations,
    old_data: &[u8],
    new: &Annotations,
    new_data: &[u8],
) -> Result<(), CommandError> {
    // Clients read the object first, and a secret's content is never shown.
    let same_data = new_data.is_empty() || new_data == old_data;
    if old.name == new.name && same_data {
        return Ok(());
    }
    Err(CommandError::Invalid("only updates to Labels are allowed".to_owned()))
}

fn not_in_use(
    view: &Store,
    what: &str,
    name: &str,
    uses: impl Fn(&Service) -> bool,
) -> Result<(), CommandError> {
    let users: Vec<_> = view
        .services()
        .filter(|service| uses(service))
        .map(|service| service.spec.annotations.name.as_str())
        .collect();
    if users.is_empty() {
        return Ok(());
    }
    let noun = if users.len() == 1 { "service" } else { "services" };
    Err(CommandError::Invalid(format!(
        "{what} '{name}' is in use by the following {noun}: {}",
        users.join(", ")
    )))
}
