//! The container a task asks for.

use shoal_model::swarm::{
    AppArmorMode, BindOptions, ContainerSpec, CredentialSpec, DnsConfig, HealthConfig, Mount,
    MountKind, Privileges, SELinuxContext, SeccompMode, TmpfsOptions, Ulimit, VolumeOptions,
};

use super::secret::{
    config_ref_from_wire, config_ref_to_wire, secret_ref_from_wire, secret_ref_to_wire,
};
use super::{
    ConvertError, driver_from_wire, driver_to_wire, duration_from_wire, duration_to_wire,
    map_from_wire, map_to_wire,
};
use crate::wire;

/// The words of the API for the wire's numbers, which are their places.
const ISOLATIONS: [&str; 3] = ["", "process", "hyperv"];
const CONSISTENCIES: [&str; 4] = ["", "consistent", "cached", "delegated"];
const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];

/// The number of a word; an unknown or default word is 0.
fn number(words: &[&str], word: &str) -> i32 {
    words.iter().position(|known| *known == word).map_or(0, |place| place as i32)
}

/// The word of a number.
fn word(what: &'static str, words: &[&str], number: i32) -> Result<String, ConvertError> {
    usize::try_from(number)
        .ok()
        .and_then(|place| words.get(place))
        .map(|word| (*word).to_owned())
        .ok_or_else(|| ConvertError::new(what, format!("unknown number {number}")))
}

/// `pids_from_limits` is the limit of processes the task's resources name, which has its place
/// here on the wire.
pub(super) fn container_to_wire(
    container: &ContainerSpec,
    pids_from_limits: i64,
) -> wire::ContainerSpec {
    let ContainerSpec {
        image,
        labels,
        command,
        args,
        env,
        dir,
        user,
        groups,
        hostname,
        tty,
        open_stdin,
        read_only,
        mounts,
        stop_signal,
        stop_grace_period,
        registry_auth,
        health_check,
        hosts,
        dns,
        secrets,
        configs,
        isolation,
        init,
        sysctls,
        cap_add,
        cap_drop,
        ulimits,
        pids_limit,
        oom_score_adj,
        privileges,
    } = container;
    wire::ContainerSpec {
        image: image.clone(),
        labels: map_to_wire(labels),
        command: command.clone(),
        args: args.clone(),
        env: env.clone(),
        dir: dir.clone(),
        user: user.clone(),
        mounts: mounts.iter().map(mount_to_wire).collect(),
        stop_grace_period: stop_grace_period.map(duration_to_wire),
        pull_options: Some(wire::PullOptions { registry_auth: registry_auth.clone() }),
        groups: groups.clone(),
        secrets: secrets.iter().map(secret_ref_to_wire).collect(),
        tty: *tty,
        hostname: hostname.clone(),
        dns_config: dns.as_ref().map(dns_to_wire),
        healthcheck: health_check.as_ref().map(health_to_wire),
        hosts: hosts.clone(),
        open_stdin: *open_stdin,
        read_only: *read_only,
        stop_signal: stop_signal.clone(),
        configs: configs.iter().map(config_ref_to_wire).collect(),
        privileges: privileges.as_ref().map(privileges_to_wire),
        init: init.map(|value| wire::BoolValue { value }),
        isolation: number(&ISOLATIONS, isolation),
        pids_limit: if *pids_limit == 0 { pids_from_limits } else { *pids_limit },
        sysctls: map_to_wire(sysctls),
        capability_add: cap_add.clone(),
        capability_drop: cap_drop.clone(),
        ulimits: ulimits
            .iter()
            .map(|Ulimit { name, soft, hard }| wire::Ulimit {
                name: name.clone(),
                soft: *soft,
                hard: *hard,
            })
            .collect(),
        oom_score_adj: *oom_score_adj,
    }
}

pub(super) fn container_from_wire(
    container: wire::ContainerSpec,
) -> Result<ContainerSpec, ConvertError> {
    let wire::ContainerSpec {
        image,
        labels,
        command,
        args,
        env,
        dir,
        user,
        mounts,
        stop_grace_period,
        pull_options,
        groups,
        secrets,
        tty,
        hostname,
        dns_config,
        healthcheck,
        hosts,
        open_stdin,
        read_only,
        stop_signal,
        configs,
        privileges,
        init,
        isolation,
        pids_limit,
        sysctls,
        capability_add,
        capability_drop,
        ulimits,
        oom_score_adj,
    } = container;
    let wire::PullOptions { registry_auth } = pull_options.unwrap_or_default();
    Ok(ContainerSpec {
        image,
        labels: map_from_wire(labels),
        command,
        args,
        env,
        dir,
        user,
        groups,
        hostname,
        tty,
        open_stdin,
        read_only,
        mounts: mounts.into_iter().map(mount_from_wire).collect::<Result<_, _>>()?,
        stop_signal,
        stop_grace_period: stop_grace_period.map(duration_from_wire),
        registry_auth,
        health_check: healthcheck.map(health_from_wire),
        hosts,
        dns: dns_config.map(dns_from_wire),
        secrets: secrets.into_iter().map(secret_ref_from_wire).collect::<Result<_, _>>()?,
        configs: configs.into_iter().map(config_ref_from_wire).collect::<Result<_, _>>()?,
        isolation: word("isolation", &ISOLATIONS, isolation)?,
        init: init.map(|wire::BoolValue { value }| value),
        sysctls: map_from_wire(sysctls),
        cap_add: capability_add,
        cap_drop: capability_drop,
        ulimits: ulimits
            .into_iter()
            .map(|wire::Ulimit { name, soft, hard }| Ulimit { name, soft, hard })
            .collect(),
        pids_limit,
        oom_score_adj,
        privileges: privileges.map(privileges_from_wire).transpose()?,
    })
}

fn mount_to_wire(mount: &Mount) -> wire::Mount {
    let Mount { kind, source, target, read_only, consistency, bind, volume, tmpfs } = mount;
    let kind = match kind {
        MountKind::Bind => wire::MountType::Bind,
        MountKind::Volume => wire::MountType::Volume,
        MountKind::Tmpfs => wire::MountType::Tmpfs,
        MountKind::NamedPipe => wire::MountType::NamedPipe,
        MountKind::Cluster => wire::MountType::Cluster,
    };
    wire::Mount {
        r#type: kind as i32,
        source: source.clone(),
        target: target.clone(),
        readonly: *read_only,
        bind_options: bind.as_ref().map(|options| {
            let BindOptions {
                propagation,
                non_recursive,
                create_mountpoint,
                read_only_non_recursive,
                read_only_force_recursive,
            } = options;
            wire::BindOptions {
                propagation: number(&PROPAGATIONS, propagation),
                non_recursive: *non_recursive,
                create_mountpoint: *create_mountpoint,
                read_only_non_recursive: *read_only_non_recursive,
                read_only_force_recursive: *read_only_force_recursive,
            }
        }),
        volume_options: volume.as_ref().map(|options| {
            let VolumeOptions { no_copy, labels, driver, subpath } = options;
            wire::VolumeOptions {
                no_copy: *no_copy,
                labels: map_to_wire(labels),
                driver_config: driver.as_ref().map(driver_to_wire),
                subpath: subpath.clone(),
            }
        }),
        tmpfs_options: tmpfs.as_ref().map(|options| {
            let TmpfsOptions { size_bytes, mode, options } = options;
            wire::TmpfsOptions { size_bytes: *size_bytes, mode: *mode, options: options.clone() }
        }),
        consistency: number(&CONSISTENCIES, consistency),
    }
}

fn mount_from_wire(mount: wire::Mount) -> Result<Mount, ConvertError> {
    let wire::Mount {
        r#type,
        source,
        target,
        readonly,
        bind_options,
        volume_options,
        tmpfs_options,
        consistency,
    } = mount;
    let kind = match wire::MountType::try_from(r#type) {
        Ok(wire::MountType::Bind) => MountKind::Bind,
        Ok(wire::MountType::Volume) => MountKind::Volume,
        Ok(wire::MountType::Tmpfs) => MountKind::Tmpfs,
        Ok(wire::MountType::NamedPipe) => MountKind::NamedPipe,
        Ok(wire::MountType::Cluster) => MountKind::Cluster,
        Err(error) => return Err(ConvertError::new("mount type", error)),
    };
    Ok(Mount {
        kind,
        source,
        target,
        read_only: readonly,
        consistency: word("mount consistency", &CONSISTENCIES, consistency)?,
        bind: bind_options.map(bind_from_wire).transpose()?,
        volume: volume_options.map(|options| {
            let wire::VolumeOptions { no_copy, labels, driver_config, subpath } = options;
            VolumeOptions {
                no_copy,
                labels: map_from_wire(labels),
                driver: driver_config.map(driver_from_wire),
                subpath,
            }
        }),
        tmpfs: tmpfs_options.map(|options| {
            let wire::TmpfsOptions { size_bytes, mode, options } = options;
            TmpfsOptions { size_bytes, mode, options }
        }),
    })
}

fn bind_from_wire(options: wire::BindOptions) -> Result<BindOptions, ConvertError> {
    let wire::BindOptions {
        propagation,
        non_recursive,
        create_mountpoint,
        read_only_non_recursive,
        read_only_force_recursive,
    } = options;
    Ok(BindOptions {
        propagation: word("mount propagation", &PROPAGATIONS, propagation)?,
        non_recursive,
        create_mountpoint,
        read_only_non_recursive,
        read_only_force_recursive,
    })
}

fn dns_to_wire(dns: &DnsConfig) -> wire::DnsConfig {
    let DnsConfig { nameservers, search, options } = dns;
    wire::DnsConfig {
        nameservers: nameservers.clone(),
        search: search.clone(),
        options: options.clone(),
    }
}

fn dns_from_wire(dns: wire::DnsConfig) -> DnsConfig {
    let wire::DnsConfig { nameservers, search, options } = dns;
    DnsConfig { nameservers, search, options }
}

fn health_to_wire(health: &HealthConfig) -> wire::HealthConfig {
    let HealthConfig { test, interval, timeout, retries, start_period, start_interval } = health;
    wire::HealthConfig {
        test: test.clone(),
        interval: Some(duration_to_wire(*interval)),
        timeout: Some(duration_to_wire(*timeout)),
        retries: i32::try_from(*retries).unwrap_or(i32::MAX),
        start_period: Some(duration_to_wire(*start_period)),
        start_interval: Some(duration_to_wire(*start_interval)),
    }
}

fn health_from_wire(health: wire::HealthConfig) -> HealthConfig {
    let wire::HealthConfig { test, interval, timeout, retries, start_period, start_interval } =
        health;
    let span = |duration: Option<wire::Duration>| duration_from_wire(duration.unwrap_or_default());
    HealthConfig {
        test,
        interval: span(interval),
        timeout: span(timeout),
        retries: u32::try_from(retries).unwrap_or(0),
        start_period: span(start_period),
        start_interval: span(start_interval),
    }
}

fn privileges_to_wire(privileges: &Privileges) -> wire::Privileges {
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

fn privileges_from_wire(privileges: wire::Privileges) -> Result<Privileges, ConvertError> {
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
