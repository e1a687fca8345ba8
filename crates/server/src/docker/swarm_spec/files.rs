//! Secrets and configs a container uses.

use serde_json::{Value, json};
use shoal_model::swarm::{ConfigRef, ConfigTarget, FileTarget, SecretRef};

use super::super::error::{ApiError, Result};
use super::super::wire::wire;

wire!(
    /// One of `Secrets`.
    SecretDocument {
        id: String = "SecretID",
        name: String = "SecretName",
        file: Option<FileDocument> = "File",
    }
);

wire!(
    /// One of `Configs`.
    ConfigDocument {
        id: String = "ConfigID",
        name: String = "ConfigName",
        file: Option<FileDocument> = "File",
        runtime: Option<Value> = "Runtime",
    }
);

wire!(
    /// Where it appears in the container.
    FileDocument {
        name: String = "Name",
        uid: String = "UID",
        gid: String = "GID",
        mode: u64 = "Mode",
    }
);

impl SecretDocument {
    /// The reference this document stands for.
    pub(super) fn into_domain(self) -> Result<SecretRef> {
        let Self { id, name, file } = self;
        let file = file.ok_or_else(|| {
            ApiError::invalid(format!("malformed secret reference {name:?}: no file target"))
        })?;
        let secret_id = id
            .parse()
            .map_err(|_| ApiError::invalid(format!("malformed secret reference: id {id:?}")))?;
        Ok(SecretRef { secret_id, secret_name: name, file: file.into_domain()? })
    }
}

impl ConfigDocument {
    /// The reference this document stands for.
    pub(super) fn into_domain(self) -> Result<ConfigRef> {
        let Self { id, name, file, runtime } = self;
        let target = match (file, runtime) {
            (Some(file), None) => ConfigTarget::File(file.into_domain()?),
            (None, Some(_)) => ConfigTarget::Runtime,
            _ => {
                return Err(ApiError::invalid(format!(
                    "malformed config reference {name:?}: exactly one of File and Runtime must be set"
                )));
            }
        };
        let config_id = id
            .parse()
            .map_err(|_| ApiError::invalid(format!("malformed config reference: id {id:?}")))?;
        Ok(ConfigRef { config_id, config_name: name, target })
    }
}

impl FileDocument {
    fn into_domain(self) -> Result<FileTarget> {
        let Self { name, uid, gid, mode } = self;
        let mode = u32::try_from(mode)
            .map_err(|_| ApiError::invalid(format!("invalid file mode {mode} of {name:?}")))?;
        Ok(FileTarget { name, uid, gid, mode })
    }
}

/// A secret's reference as Docker shows it.
pub(super) fn render_secret(secret: &SecretRef) -> Value {
    let SecretRef { secret_id, secret_name, file } = secret;
    json!({
        "File": render_file(file),
        "SecretID": secret_id.as_str(),
        "SecretName": secret_name,
    })
}

/// A config's reference as Docker shows it.
pub(super) fn render_config(config: &ConfigRef) -> Value {
    let ConfigRef { config_id, config_name, target } = config;
    let mut document = json!({ "ConfigID": config_id.as_str(), "ConfigName": config_name });
    match target {
        ConfigTarget::File(file) => document["File"] = render_file(file),
        ConfigTarget::Runtime => document["Runtime"] = json!({}),
    }
    document
}

fn render_file(file: &FileTarget) -> Value {
    let FileTarget { name, uid, gid, mode } = file;
    json!({ "Name": name, "UID": uid, "GID": gid, "Mode": mode })
}
