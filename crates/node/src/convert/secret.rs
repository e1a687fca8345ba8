//! Secrets and configs, and how a container refers to them.

use shoal_model::swarm::{
    Config, ConfigRef, ConfigSpec, ConfigTarget, FileTarget, Secret, SecretRef, SecretSpec,
};

use super::{
    ConvertError, annotations_from_wire, annotations_to_wire, meta_from_wire, meta_to_wire,
};
use crate::wire;

/// A secret on its way to a worker.
pub fn secret_to_wire(secret: &Secret) -> wire::Secret {
    let Secret { id, meta, spec: SecretSpec { annotations, data } } = secret;
    wire::Secret {
        id: id.to_string(),
        meta: Some(meta_to_wire(meta)),
        spec: Some(wire::SecretSpec {
            annotations: Some(annotations_to_wire(annotations)),
            data: data.clone(),
            templating: None,
            driver: None,
        }),
        internal: false,
    }
}

/// A secret on a worker. Templates and secret drivers are refused: the file would be wrong.
pub fn secret_from_wire(secret: wire::Secret) -> Result<Secret, ConvertError> {
    let wire::Secret { id, meta, spec, internal: _ } = secret;
    let wire::SecretSpec { annotations, data, templating, driver } = spec.unwrap_or_default();
    if templating.is_some() || driver.is_some() {
        return Err(ConvertError::new("secret", "templates and drivers are not supported"));
    }
    Ok(Secret {
        id: id.parse().map_err(|error| ConvertError::new("secret", error))?,
        meta: meta_from_wire(meta),
        spec: SecretSpec { annotations: annotations_from_wire(annotations), data },
    })
}

/// A config on its way to a worker.
pub fn config_to_wire(config: &Config) -> wire::Config {
    let Config { id, meta, spec: ConfigSpec { annotations, data } } = config;
    wire::Config {
        id: id.to_string(),
        meta: Some(meta_to_wire(meta)),
        spec: Some(wire::ConfigSpec {
            annotations: Some(annotations_to_wire(annotations)),
            data: data.clone(),
            templating: None,
        }),
    }
}

/// A config on a worker. Templates are refused: the file would be wrong.
pub fn config_from_wire(config: wire::Config) -> Result<Config, ConvertError> {
    let wire::Config { id, meta, spec } = config;
    let wire::ConfigSpec { annotations, data, templating } = spec.unwrap_or_default();
    if templating.is_some() {
        return Err(ConvertError::new("config", "templates are not supported"));
    }
    Ok(Config {
        id: id.parse().map_err(|error| ConvertError::new("config", error))?,
        meta: meta_from_wire(meta),
        spec: ConfigSpec { annotations: annotations_from_wire(annotations), data },
    })
}

pub(super) fn secret_ref_to_wire(reference: &SecretRef) -> wire::SecretReference {
    let SecretRef { secret_id, secret_name, file } = reference;
    wire::SecretReference {
        secret_id: secret_id.to_string(),
        secret_name: secret_name.clone(),
        file: Some(file_to_wire(file)),
    }
}

pub(super) fn secret_ref_from_wire(
    reference: wire::SecretReference,
) -> Result<SecretRef, ConvertError> {
    let wire::SecretReference { secret_id, secret_name, file } = reference;
    Ok(SecretRef {
        secret_id: secret_id
            .parse()
            .map_err(|error| ConvertError::new("secret reference", error))?,
        secret_name,
        file: file_from_wire(file.ok_or(ConvertError::missing("secret reference's file"))?),
    })
}

pub(super) fn config_ref_to_wire(reference: &ConfigRef) -> wire::ConfigReference {
    let ConfigRef { config_id, config_name, target } = reference;
    let target = match target {
        ConfigTarget::File(file) => wire::config_reference::Target::File(file_to_wire(file)),
        ConfigTarget::Runtime => wire::config_reference::Target::Runtime(wire::RuntimeTarget {}),
    };
    wire::ConfigReference {
        config_id: config_id.to_string(),
        config_name: config_name.clone(),
        target: Some(target),
    }
}

pub(super) fn config_ref_from_wire(
    reference: wire::ConfigReference,
) -> Result<ConfigRef, ConvertError> {
    let wire::ConfigReference { config_id, config_name, target } = reference;
    let target = match target.ok_or(ConvertError::missing("config reference's target"))? {
        wire::config_reference::Target::File(file) => ConfigTarget::File(file_from_wire(file)),
        wire::config_reference::Target::Runtime(wire::RuntimeTarget {}) => ConfigTarget::Runtime,
    };
    let config_id =
        config_id.parse().map_err(|error| ConvertError::new("config reference", error))?;
    Ok(ConfigRef { config_id, config_name, target })
}

fn file_to_wire(file: &FileTarget) -> wire::FileTarget {
    let FileTarget { name, uid, gid, mode } = file;
    wire::FileTarget { name: name.clone(), uid: uid.clone(), gid: gid.clone(), mode: *mode }
}

fn file_from_wire(file: wire::FileTarget) -> FileTarget {
    let wire::FileTarget { name, uid, gid, mode } = file;
    FileTarget { name, uid, gid, mode }
}
