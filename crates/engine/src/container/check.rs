//! Whether a wanted container makes sense: everything that can be told without
//! asking the machine. Pure; Docker's sentences.

use std::net::IpAddr;

use shoal_model::Signal;

use crate::domain::{
    ContainerConfig, HostConfig, IpcMode, NetworkMode, PidMode, Protocol, Resources, RestartPolicy,
    UtsMode,
};
use crate::error::ContainerError;
use crate::spec;

/// Least memory with which a program starts at all; Docker's.
const LEAST_MEMORY_BYTES: u64 = 6 << 20;
/// Longest host name the kernel takes.
const HOSTNAME_MAX_BYTES: usize = 64;

/// What there is on this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// Processors.
    pub(crate) processors: u64,
    /// Bytes of memory.
    pub(crate) memory_bytes: u64,
    /// Its processors as the kernel lists them (`0-3`); empty if it does not.
    pub(crate) cpus: &'static str,
    /// Its memory nodes likewise.
    pub(crate) memory_nodes: &'static str,
}

/// Checks a merged configuration. The good answer is what the caller should be told.
///
/// # Errors
/// The first thing that makes no sense.
pub(crate) fn check(
    config: &ContainerConfig,
    host: &HostConfig,
    machine: Machine,
) -> Result<Vec<String>, ContainerError> {
    check_config(config)?;
    check_modes(config, host)?;
    check_rights(host)?;
    check_ports(host)?;
    check_names(host)?;
    if host.auto_remove && host.restart_policy != RestartPolicy::No {
        return invalid("can't create 'AutoRemove' container with restart policy");
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        ));
    }
    let mut warnings = check_resources(&host.resources, machine)?;
    if host.network_mode == NetworkMode::Host && !host.port_bindings.is_empty() {
        warnings.push("Published ports are discarded when using host network mode".into());
    }
    Ok(warnings)
}

fn check_config(config: &ContainerConfig) -> Result<(), ContainerError> {
    let words = config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten());
    if words.count() == 0 {
        return invalid("no command specified");
    }
    if let Some(signal) = &config.stop_signal
        && signal.parse::<Signal>().is_err()
    {
        return invalid(format!("invalid signal: {signal}"));
    }
    if !config.workdir.is_empty() && !config.workdir.starts_with('/') {
        return invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.workdir
        ));
    }
    for variable in &config.env {
        if variable.is_empty() || variable.starts_with('=') || variable.contains('\0') {
            return invalid(format!("invalid environment variable: {variable}"));
        }
    }
    for name in [config.hostname.as_deref(), Some(config.domainname.as_str())].into_iter().flatten()
    {
        let odd = |byte: u8| !(byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if name.len() > HOSTNAME_MAX_BYTES || name.bytes().any(odd) || name.starts_with('-') {
            return invalid(format!("invalid hostname format: {name}"));
        }
    }
    Ok(())
}

fn check_modes(config: &ContainerConfig, host: &HostConfig) -> Result<(), ContainerError> {
    let publishes = !host.port_bindings.is_empty() || host.publish_all_ports;
    if let NetworkMode::Container(_) = host.network_mode {
        let conflict = |what: &str, kind: &str| {
            invalid(format!("conflicting options: {what} and the {kind} network mode"))
        };
        if config.hostname.is_some() {
            return conflict("hostname", "container type");
        }
        if publishes {
            return invalid(
                "conflicting options: port publishing and the container type network mode",
            );
        }
        if !host.dns.is_empty() || !host.dns_search.is_empty() {
            return conflict("dns", "container type");
        }
        if !host.extra_hosts.is_empty() {
            return invalid("conflicting options: custom host-to-IP mapping and the network mode");
        }
    }
    if let IpcMode::Container(_) | IpcMode::Shareable = host.ipc_mode {
        // Both sides need one /dev/shm, which would have to be mounted outside of containers.
        return Err(ContainerError::Unsupported(format!("IPC mode {}", host.ipc_mode)));
    }
    if host.uts_mode == UtsMode::Host && config.hostname.is_some() {
        return invalid("conflicting options: hostname and the UTS mode");
    }
    if host.pid_mode != PidMode::Private
        && host.sysctls.keys().any(|key| key.starts_with("kernel.ns"))
    {
        return invalid("conflicting options: sysctls and the PID mode");
    }
    for name in host.sysctls.keys() {
        check_sysctl(name, host)?;
    }
    Ok(())
}

/// Only parameters of a namespace the container owns: others are the machine's.
fn check_sysctl(name: &str, host: &HostConfig) -> Result<(), ContainerError> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    if name.starts_with("net.") {
        return match host.network_mode {
            NetworkMode::Host => {
                invalid(format!("sysctl '{name}' not allowed in host network namespace"))
            }
            _ => Ok(()),
        };
    }
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        return match host.ipc_mode {
            IpcMode::Host => invalid(format!("sysctl '{name}' not allowed in host ipc namespace")),
            _ => Ok(()),
        };
    }
    // The runtime knows no more than these three kinds.
    if name == "kernel.domainname" {
        return match host.uts_mode {
            UtsMode::Host => invalid(format!("sysctl '{name}' not allowed in host uts namespace")),
            UtsMode::Private => Ok(()),
        };
    }
    invalid(format!("sysctl '{name}' is not allowed: it is not in a separate kernel namespace"))
}

fn check_rights(host: &HostConfig) -> Result<(), ContainerError> {
    spec::effective_capabilities(host)
        .map_err(|error| ContainerError::Invalid(error.to_string()))?;
    for rule in &host.resources.device_cgroup_rules {
        if !spec::is_device_rule(rule) {
            return invalid(format!("invalid device cgroup format: '{rule}'"));
        }
    }
    for device in &host.resources.devices {
        let access = &device.permissions;
        if !device.path_in_container.is_absolute()
            || access.bytes().any(|byte| !b"rwm".contains(&byte))
        {
            return invalid(format!(
                "invalid device mapping: {}:{}:{access}",
                device.path_on_host.display(),
                device.path_in_container.display()
            ));
        }
    }
    for limit in &host.resources.ulimits {
        if !spec::is_ulimit(&limit.name) {
            return invalid(format!("invalid ulimit type: {}", limit.name));
        }
        if limit.hard >= 0 && (limit.soft > limit.hard || limit.soft < 0) {
            return invalid(format!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                limit.soft, limit.hard
            ));
        }
    }
    Ok(())
}

fn check_ports(host: &HostConfig) -> Result<(), ContainerError> {
    for port in host.port_bindings.keys() {
        if port.protocol == Protocol::Sctp {
            return Err(ContainerError::Unsupported(format!("publishing the SCTP port {port}")));
        }
    }
    Ok(())
}

fn check_names(host: &HostConfig) -> Result<(), ContainerError> {
    for server in &host.dns {
        if server.parse::<IpAddr>().is_err() {
            return invalid(format!("bad format for DNS server: {server} is not an ip address"));
        }
    }
    for entry in &host.extra_hosts {
        if read_extra_host(entry).is_none() {
            return invalid(format!("bad format for add-host: \"{entry}\""));
        }
    }
    Ok(())
}

/// Name and address of `name:address` or `name=address`; the address may be `host-gateway`
/// (told as `None`).
pub(crate) fn read_extra_host(entry: &str) -> Option<(&str, Option<IpAddr>)> {
    let (name, address) = entry.split_once([':', '='])?;
    if name.is_empty() {
        return None;
    }
    if address == "host-gateway" {
        return Some((name, None));
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    Some((name, Some(bare.parse().ok()?)))
}

/// Limits alone: at create and at update.
///
/// # Errors
/// The first limit that makes no sense.
pub(crate) fn check_resources(
    resources: &Resources,
    machine: Machine,
) -> Result<Vec<String>, ContainerError> {
    check_memory(resources)?;
    check_cpu(resources, machine)?;
    let mut warnings = Vec::new();
    if resources.memory_bytes.is_some_and(|memory| memory > machine.memory_bytes) {
        warnings.push("The memory limit is larger than the machine's memory.".into());
    }
    Ok(warnings)
}

fn check_memory(resources: &Resources) -> Result<(), ContainerError> {
    if let Some(memory) = resources.memory_bytes
        && memory < LEAST_MEMORY_BYTES
    {
        return invalid("Minimum memory limit allowed is 6MB");
    }
    match (resources.memory_bytes, resources.memory_swap_bytes) {
        (None, Some(swap)) if swap > 0 => {
            return invalid(
                "You should always set the Memory limit when using Memoryswap limit, see usage",
            );
        }
        (Some(memory), Some(swap)) if swap > 0 && swap.unsigned_abs() < memory => {
            return invalid(
                "Minimum memoryswap limit should be larger than memory limit, see usage",
            );
        }
        _ => {}
    }
    if let (Some(memory), Some(reservation)) =
        (resources.memory_bytes, resources.memory_reservation_bytes)
        && memory < reservation
    {
        return invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    if resources.memory_swappiness.is_some_and(|value| value > 100) {
        return invalid(format!(
            "Invalid value: {}, valid memory swappiness range is 0-100",
            resources.memory_swappiness.unwrap_or_default()
        ));
    }
    Ok(())
}

fn check_cpu(resources: &Resources, machine: Machine) -> Result<(), ContainerError> {
    if let Some(nano) = resources.nano_cpus {
        if resources.cpu_period_us.is_some() {
            return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set.");
        }
        if resources.cpu_quota_us.is_some() {
            return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set.");
        }
        if nano < 10_000_000 || nano > machine.processors * 1_000_000_000 {
            return invalid(format!(
                "Range of CPUs is from 0.01 to {0}.00, as there are only {0} CPUs available",
                machine.processors
            ));
        }
    }
    if resources.cpu_period_us.is_some_and(|period| !(1_000..=1_000_000).contains(&period)) {
        return invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if resources.cpu_quota_us.is_some_and(|quota| quota > 0 && quota < 1_000) {
        return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    check_set(&resources.cpuset_cpus, machine.cpus, "cpuset cpus", "CPUs")?;
    check_set(&resources.cpuset_mems, machine.memory_nodes, "cpuset mems", "memory nodes")
}

/// Whether the machine has everything that is in a list.
fn check_set(list: &str, available: &str, what: &str, things: &str) -> Result<(), ContainerError> {
    let Some(wanted) = read_set(list) else {
        return invalid(format!("Invalid value {list} for {what}"));
    };
    // What the kernel does not list is left for it to judge.
    let Some(found) = read_set(available).filter(|found| !found.is_empty()) else {
        return Ok(());
    };
    match wanted.iter().all(|range| covers(&found, *range)) {
        true => Ok(()),
        false => invalid(format!(
            "Requested {things} are not available - requested {list}, available: {available}"
        )),
    }
}

/// The ranges of a list as the kernel writes it: `0-2,4`.
fn read_set(list: &str) -> Option<Vec<(u32, u32)>> {
    let read = |item: &str| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some((first, last))
    };
    list.split(',').filter(|item| !item.is_empty()).map(read).collect()
}

/// Whether each number of a range is in one of the others.
fn covers(found: &[(u32, u32)], (first, last): (u32, u32)) -> bool {
    let mut next = first;
    loop {
        let Some((_, end)) = found.iter().find(|(begin, end)| (*begin..=*end).contains(&next))
        else {
            return false;
        };
        match end.checked_add(1) {
            Some(after) if *end < last => next = after,
            _ => return true,
        }
    }
}

fn invalid<T>(message: impl Into<String>) -> Result<T, ContainerError> {
    Err(ContainerError::Invalid(message.into()))
}

#[cfg(test)]
mod tests;
