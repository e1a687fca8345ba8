//! Security settings of a task's container.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shoal_model::swarm::{AppArmorMode, CredentialSpec, Privileges, SELinuxContext, SeccompMode};

use super::super::error::{ApiError, Result};
use super::super::wire::wire;
use super::{set, set_flag, set_text};

wire!(
    /// `Privileges`.
    PrivilegesDocument {
        credential_spec: Option<CredentialDocument> = "CredentialSpec",
        selinux: Option<SELinuxDocument> = "SELinuxContext",
        seccomp: Option<SeccompDocument> = "Seccomp",
        apparmor: Option<AppArmorDocument> = "AppArmor",
        no_new_privileges: bool = "NoNewPrivileges",
    }
);

wire!(
    /// Where Windows credentials come from.
    CredentialDocument {
        config: String = "Config",
        file: String = "File",
        registry: String = "Registry",
    }
);

wire!(
    /// SELinux labels.
    SELinuxDocument {
        disable: bool = "Disable",
        user: String = "User",
        role: String = "Role",
        kind: String = "Type",
        level: String = "Level",
    }
);

wire!(
    /// The system call filter.
    SeccompDocument { mode: String = "Mode", profile: String = "Profile" }
);

wire!(
    /// The AppArmor profile.
    AppArmorDocument { mode: String = "Mode" }
);

impl PrivilegesDocument {
    /// The settings this document asks for.
    pub(super) fn into_domain(self) -> Result<Privileges> {
        let Self { credential_spec, selinux, seccomp, apparmor, no_new_privileges } = self;
        Ok(Privileges {
            credential_spec: credential_spec.and_then(CredentialDocument::into_domain),
            selinux: selinux.map(SELinuxDocument::into_domain),
            seccomp: seccomp.map(SeccompDocument::into_domain).transpose()?,
            apparmor: apparmor.map(AppArmorDocument::into_domain).transpose()?,
            no_new_privileges,
        })
    }
}

impl CredentialDocument {
    fn into_domain(self) -> Option<CredentialSpec> {
        let given = |text: String| (!text.is_empty()).then_some(text);
        let Self { config, file, registry } = self;
        given(config)
            .map(CredentialSpec::Config)
            .or_else(|| given(file).map(CredentialSpec::File))
            .or_else(|| given(registry).map(CredentialSpec::Registry))
    }
}

impl SELinuxDocument {
    fn into_domain(self) -> SELinuxContext {
        let Self { disable, user, role, kind, level } = self;
        SELinuxContext { disable, user, role, kind, level }
    }
}

impl SeccompDocument {
    fn into_domain(self) -> Result<SeccompMode> {
        let Self { mode, profile } = self;
        match mode.as_str() {
            "" | "default" => Ok(SeccompMode::Default),
            "unconfined" => Ok(SeccompMode::Unconfined),
            "custom" => STANDARD
                .decode(profile)
                .map(SeccompMode::Custom)
                .map_err(|_| ApiError::invalid("the seccomp profile is not base64")),
            other => Err(ApiError::invalid(format!("invalid seccomp mode {other:?}"))),
        }
    }
}

impl AppArmorDocument {
    fn into_domain(self) -> Result<AppArmorMode> {
        match self.mode.as_str() {
            "" | "default" => Ok(AppArmorMode::Default),
            "disabled" => Ok(AppArmorMode::Disabled),
            other => Err(ApiError::invalid(format!("invalid AppArmor mode {other:?}"))),
        }
    }
}

/// Security settings as Docker shows them.
pub(super) fn render_privileges(privileges: &Privileges) -> Value {
    let Privileges { credential_spec, selinux, seccomp, apparmor, no_new_privileges } = privileges;
    let mut document = json!({});
    set(&mut document, "CredentialSpec", credential_spec.as_ref().map(render_credential));
    set(&mut document, "SELinuxContext", selinux.as_ref().map(render_selinux));
    set(&mut document, "Seccomp", seccomp.as_ref().map(render_seccomp));
    set(&mut document, "AppArmor", apparmor.as_ref().map(render_apparmor));
    set_flag(&mut document, "NoNewPrivileges", *no_new_privileges);
    document
}

fn render_credential(spec: &CredentialSpec) -> Value {
    match spec {
        CredentialSpec::Config(config) => json!({ "Config": config }),
        CredentialSpec::File(file) => json!({ "File": file }),
        CredentialSpec::Registry(registry) => json!({ "Registry": registry }),
    }
}

fn render_selinux(context: &SELinuxContext) -> Value {
    let SELinuxContext { disable, user, role, kind, level } = context;
    let mut document = json!({ "Disable": disable });
    for (key, text) in [("User", user), ("Role", role), ("Type", kind), ("Level", level)] {
        set_text(&mut document, key, text);
    }
    document
}

fn render_seccomp(mode: &SeccompMode) -> Value {
    match mode {
        SeccompMode::Default => json!({ "Mode": "default" }),
        SeccompMode::Unconfined => json!({ "Mode": "unconfined" }),
        SeccompMode::Custom(profile) => {
            json!({ "Mode": "custom", "Profile": STANDARD.encode(profile) })
        }
    }
}

fn render_apparmor(mode: &AppArmorMode) -> Value {
    match mode {
        AppArmorMode::Default => json!({ "Mode": "default" }),
        AppArmorMode::Disabled => json!({ "Mode": "disabled" }),
    }
}
