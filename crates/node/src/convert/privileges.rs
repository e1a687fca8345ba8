//! What a container may do beyond the ordinary.

use shoal_model::swarm::{AppArmorMode, CredentialSpec, Privileges, SELinuxContext, SeccompMode};

use super::ConvertError;
use crate::wire;

pub(super) fn privileges_to_wire(privileges: &Privileges) -> wire::Privileges {
    use wire::credential_spec::Source;
    let Privileges { credential_spec, selinux, seccomp, apparmor, no_new_privileges } = privileges;
    wire::Privileges {
        credential_spec: credential_spec.as_ref().map(|spec| wire::CredentialSpec {
            source: Some(match spec.clone() {
                CredentialSpec::Config(id) => Source::Config(id),
                CredentialSpec::File(path) => Source::File(path),
                CredentialSpec::Registry(name) => Source::Registry(name),
            }),
        }),
        selinux_context: selinux.as_ref().map(|context| {
            let SELinuxContext { disable, user, role, kind, level } = context.clone();
            wire::SeLinuxContext { disable, user, role, r#type: kind, level }
        }),
        seccomp: seccomp.as_ref().map(|mode| {
            let (mode, profile) = match mode {
                SeccompMode::Default => (wire::SeccompMode::Default, Vec::new()),
                SeccompMode::Unconfined => (wire::SeccompMode::Unconfined, Vec::new()),
                SeccompMode::Custom(profile) => (wire::SeccompMode::Custom, profile.clone()),
            };
            wire::SeccompOptions { mode: mode as i32, profile }
        }),
        apparmor: apparmor.map(|mode| {
            let mode = match mode {
                AppArmorMode::Default => wire::AppArmorMode::Default,
                AppArmorMode::Disabled => wire::AppArmorMode::Disabled,
            };
            wire::AppArmorOptions { mode: mode as i32 }
        }),
        no_new_privileges: *no_new_privileges,
    }
}

pub(super) fn privileges_from_wire(
    privileges: wire::Privileges,
) -> Result<Privileges, ConvertError> {
    let wire::Privileges { credential_spec, selinux_context, seccomp, apparmor, no_new_privileges } =
        privileges;
    Ok(Privileges {
        credential_spec: credential_spec.and_then(credential_from_wire),
        selinux: selinux_context.map(|context| {
            let wire::SeLinuxContext { disable, user, role, r#type, level } = context;
            SELinuxContext { disable, user, role, kind: r#type, level }
        }),
        seccomp: seccomp.map(seccomp_from_wire).transpose()?,
        apparmor: apparmor.map(apparmor_from_wire).transpose()?,
        no_new_privileges,
    })
}

fn credential_from_wire(spec: wire::CredentialSpec) -> Option<CredentialSpec> {
    use wire::credential_spec::Source;
    let wire::CredentialSpec { source } = spec;
    Some(match source? {
        Source::File(path) => CredentialSpec::File(path),
        Source::Registry(name) => CredentialSpec::Registry(name),
        Source::Config(id) => CredentialSpec::Config(id),
    })
}

fn seccomp_from_wire(options: wire::SeccompOptions) -> Result<SeccompMode, ConvertError> {
    let wire::SeccompOptions { mode, profile } = options;
    Ok(match wire::SeccompMode::try_from(mode) {
        Ok(wire::SeccompMode::Default) => SeccompMode::Default,
        Ok(wire::SeccompMode::Unconfined) => SeccompMode::Unconfined,
        Ok(wire::SeccompMode::Custom) => SeccompMode::Custom(profile),
        Err(error) => return Err(ConvertError::new("seccomp mode", error)),
    })
}

fn apparmor_from_wire(options: wire::AppArmorOptions) -> Result<AppArmorMode, ConvertError> {
    let wire::AppArmorOptions { mode } = options;
    Ok(match wire::AppArmorMode::try_from(mode) {
        Ok(wire::AppArmorMode::Default) => AppArmorMode::Default,
        Ok(wire::AppArmorMode::Disabled) => AppArmorMode::Disabled,
        Err(error) => return Err(ConvertError::new("apparmor mode", error)),
    })
}
