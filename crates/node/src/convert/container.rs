//! The container a task asks for.

use shoal_model::swarm::{ContainerSpec, DnsConfig, HealthConfig, Ulimit};

use super::mount::{mount_from_wire, mount_to_wire};
use super::privileges::{privileges_from_wire, privileges_to_wire};
use super::secret::{
    config_ref_from_wire, config_ref_to_wire, secret_ref_from_wire, secret_ref_to_wire,
};
use super::words::{number, word};
use super::{ConvertError, duration_from_wire, duration_to_wire, map_from_wire, map_to_wire};
use crate::wire;

/// The words of the API for the wire's numbers, which are their places.
const ISOLATIONS: [&str; 3] = ["", "process", "hyperv"];

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
