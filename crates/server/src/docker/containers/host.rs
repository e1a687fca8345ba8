//! The machine's half of a container's configuration, read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use shoal_engine::domain::{
    DeviceMapping, HostConfig, HostPort, LogConfig, NetworkMode, Port, PortBinding, Resources,
    TerminalSize, Ulimit,
};

use super::super::documents::MountDocument;
use super::super::error::{ApiError, Result};
use super::super::wire::{Words, wire};
use super::mount;
use super::policy::{LogDocument, RestartDocument, Security, read_restart};

wire!(
    /// `HostConfig`. What is not declared is refused unless it is zero.
    HostDocument {
        binds: Vec<String> = "Binds",
        container_id_file: String = "ContainerIDFile",
        log: LogDocument = "LogConfig",
        network_mode: String = "NetworkMode",
        port_bindings: BTreeMap<String, Vec<BindingDocument>> = "PortBindings",
        restart: RestartDocument = "RestartPolicy",
        auto_remove: bool = "AutoRemove",
        volume_driver: String = "VolumeDriver",
        console_size: Vec<u64> = "ConsoleSize",
        annotations: BTreeMap<String, String> = "Annotations",
        cap_add: Words = "CapAdd",
        cap_drop: Words = "CapDrop",
        cgroupns_mode: String = "CgroupnsMode",
        dns: Vec<String> = "Dns",
        dns_options: Vec<String> = "DnsOptions",
        dns_search: Vec<String> = "DnsSearch",
        extra_hosts: Vec<String> = "ExtraHosts",
        group_add: Vec<String> = "GroupAdd",
        ipc_mode: String = "IpcMode",
        oom_score_adj: i64 = "OomScoreAdj",
        pid_mode: String = "PidMode",
        privileged: bool = "Privileged",
        publish_all_ports: bool = "PublishAllPorts",
        readonly_rootfs: bool = "ReadonlyRootfs",
        security_opt: Vec<String> = "SecurityOpt",
        tmpfs: BTreeMap<String, String> = "Tmpfs",
        uts_mode: String = "UTSMode",
        userns_mode: String = "UsernsMode",
        shm_size: i64 = "ShmSize",
        sysctls: BTreeMap<String, String> = "Sysctls",
        runtime: String = "Runtime",
        isolation: String = "Isolation",
        mounts: Vec<MountDocument> = "Mounts",
        masked_paths: Option<Vec<String>> = "MaskedPaths",
        readonly_paths: Option<Vec<String>> = "ReadonlyPaths",
        memory: i64 = "Memory",
        memory_swap: i64 = "MemorySwap",
        memory_reservation: i64 = "MemoryReservation",
        memory_swappiness: Option<i64> = "MemorySwappiness",
        nano_cpus: i64 = "NanoCpus",
        cpu_shares: i64 = "CpuShares",
        cpu_quota: i64 = "CpuQuota",
        cpu_period: i64 = "CpuPeriod",
        cpuset_cpus: String = "CpusetCpus",
        cpuset_mems: String = "CpusetMems",
        pids_limit: i64 = "PidsLimit",
        ulimits: Vec<UlimitDocument> = "Ulimits",
        devices: Vec<DeviceDocument> = "Devices",
        device_rules: Vec<String> = "DeviceCgroupRules",
        cgroup_parent: String = "CgroupParent",
        links: Vec<String> = "Links",
    }
);

wire!(
    /// Where a port is published.
    BindingDocument { host_ip: String = "HostIp", host_port: String = "HostPort" }
);

wire!(
    /// A resource limit of the process.
    UlimitDocument { name: String = "Name", soft: i64 = "Soft", hard: i64 = "Hard" }
);

wire!(
    /// A device of the host.
    DeviceDocument {
        on_host: String = "PathOnHost",
        in_container: String = "PathInContainer",
        permissions: String = "CgroupPermissions",
    }
);

impl HostDocument {
    /// The configuration this document asks for.
    ///
    /// # Errors
    /// `Invalid` for values that make no sense, `NotImplemented` for options
    /// Shoal does not have.
    pub(crate) fn into_domain(self) -> Result<HostConfig> {
        self.refuse()?;
        let mut resources = self.resources()?;
        // A new container has no limit to be rid of.
        resources.pids_limit = resources.pids_limit.filter(|limit| *limit > 0);
        let security = Security::read(&self.security_opt)?;
        let restart_policy = read_restart(&self.restart)?;
        Ok(HostConfig {
            network_mode: self.network_mode.parse()?,
            port_bindings: read_bindings(self.port_bindings)?,
            publish_all_ports: self.publish_all_ports,
            restart_policy,
            auto_remove: self.auto_remove,
            mounts: self.mounts.into_iter().map(mount::read).collect::<Result<_>>()?,
            binds: self.binds,
            tmpfs: self.tmpfs,
            resources,
            cap_add: self.cap_add.0,
            cap_drop: self.cap_drop.0,
            privileged: self.privileged,
            seccomp: security.seccomp,
            no_new_privileges: security.no_new_privileges,
            security_opt: self.security_opt,
            readonly_rootfs: self.readonly_rootfs,
            sysctls: self.sysctls,
            shm_size_bytes: positive(self.shm_size, "ShmSize")?,
            dns: self.dns,
            dns_options: self.dns_options,
            dns_search: self.dns_search,
            extra_hosts: self.extra_hosts,
            group_add: self.group_add,
            ipc_mode: self.ipc_mode.parse()?,
            pid_mode: self.pid_mode.parse()?,
            uts_mode: self.uts_mode.parse()?,
            cgroupns_mode: self.cgroupns_mode.parse()?,
            log: LogConfig::read(&self.log.driver, self.log.options)?,
            oom_score_adj: oom_score(self.oom_score_adj)?,
            masked_paths: self.masked_paths,
            readonly_paths: self.readonly_paths,
            console_size: read_size(&self.console_size)?,
            annotations: self.annotations,
        })
    }

    /// Members that may only have the value that changes nothing.
    fn refuse(&self) -> Result<()> {
        // Written by the client, on its own machine.
        let _ = &self.container_id_file;
        // Docker reads these links on its default bridge only. On a network of
        // the user's they are said again in its endpoint, and Compose names the
        // siblings here that the name service knows anyhow.
        if !self.links.is_empty() && !matches!(self.network_mode.parse()?, NetworkMode::Network(_))
        {
            return Err(ApiError::unsupported("HostConfig.Links (--link)"));
        }
        let words = [
            ("HostConfig.VolumeDriver (--volume-driver)", &self.volume_driver, ["", "local"]),
            ("HostConfig.UsernsMode (--userns)", &self.userns_mode, ["", "host"]),
            ("HostConfig.Runtime (--runtime)", &self.runtime, ["", "shoal"]),
            ("HostConfig.Isolation (--isolation)", &self.isolation, ["", "default"]),
        ];
        for (name, value, allowed) in words {
            if !allowed.contains(&value.as_str()) {
                return Err(ApiError::unsupported(format!("{name} {value:?}")));
            }
        }
        Ok(())
    }

    /// The limits in this document; an update carries them, too.
    ///
    /// # Errors
    /// `Invalid` for a negative number where there is no meaning for it.
    pub(super) fn resources(&self) -> Result<Resources> {
        let swappiness = self.memory_swappiness.filter(|value| *value != -1);
        Ok(Resources {
            memory_bytes: positive(self.memory, "Memory")?,
            memory_swap_bytes: (self.memory_swap != 0).then_some(self.memory_swap),
            memory_reservation_bytes: positive(self.memory_reservation, "MemoryReservation")?,
            memory_swappiness: swappiness
                .map(|value| u64::try_from(value).map_err(|_| negative("MemorySwappiness")))
                .transpose()?,
            nano_cpus: positive(self.nano_cpus, "NanoCpus")?,
            cpu_shares: positive(self.cpu_shares, "CpuShares")?,
            cpu_quota_us: (self.cpu_quota != 0).then_some(self.cpu_quota),
            cpu_period_us: positive(self.cpu_period, "CpuPeriod")?,
            cpuset_cpus: self.cpuset_cpus.clone(),
            cpuset_mems: self.cpuset_mems.clone(),
            // Less than none is no limit, which is news to one that has a limit.
            pids_limit: (self.pids_limit != 0).then_some(self.pids_limit.max(-1)),
            ulimits: self.ulimits.iter().map(UlimitDocument::to_domain).collect(),
            devices: self.devices.iter().map(DeviceDocument::to_domain).collect(),
            device_cgroup_rules: self.device_rules.clone(),
            cgroup_parent: Some(self.cgroup_parent.clone()).filter(|parent| !parent.is_empty()),
        })
    }
}

impl UlimitDocument {
    fn to_domain(&self) -> Ulimit {
        Ulimit { name: self.name.clone(), soft: self.soft, hard: self.hard }
    }
}

impl DeviceDocument {
    fn to_domain(&self) -> DeviceMapping {
        let or = |text: &str, default: &str| {
            if text.is_empty() { default.to_owned() } else { text.to_owned() }
        };
        DeviceMapping {
            path_on_host: PathBuf::from(&self.on_host),
            path_in_container: PathBuf::from(or(&self.in_container, &self.on_host)),
            permissions: or(&self.permissions, "rwm"),
        }
    }
}

fn positive(value: i64, name: &str) -> Result<Option<u64>> {
    let value = u64::try_from(value).map_err(|_| negative(name))?;
    Ok((value > 0).then_some(value))
}

fn negative(name: &str) -> ApiError {
    ApiError::invalid(format!("{name} cannot be negative"))
}

fn oom_score(score: i64) -> Result<i32> {
    match i32::try_from(score) {
        Ok(score @ -1000..=1000) => Ok(score),
        _ => Err(ApiError::invalid(format!(
            "Invalid value {score}, range for oom score adj is [-1000, 1000]"
        ))),
    }
}

/// Reads `[rows, columns]`; zeros are no size.
///
/// # Errors
/// `Invalid` for numbers no terminal has.
pub(crate) fn read_size(size: &[u64]) -> Result<Option<TerminalSize>> {
    let [rows, columns] = size else { return Ok(None) };
    let side = |value: u64| {
        u16::try_from(value)
            .map_err(|_| ApiError::invalid(format!("invalid terminal size {value}")))
    };
    let (rows, columns) = (side(*rows)?, side(*columns)?);
    Ok((rows > 0 && columns > 0).then_some(TerminalSize { rows, columns }))
}

fn read_bindings(
    bindings: BTreeMap<String, Vec<BindingDocument>>,
) -> Result<BTreeMap<Port, Vec<PortBinding>>> {
    let mut read: BTreeMap<Port, Vec<PortBinding>> = BTreeMap::new();
    for (port, bindings) in bindings {
        let entry = read.entry(port.parse()?).or_default();
        for binding in bindings {
            entry.push(read_binding(&binding)?);
        }
    }
    Ok(read)
}

fn read_binding(binding: &BindingDocument) -> Result<PortBinding> {
    let host_ip = match binding.host_ip.as_str() {
        "" => None,
        text => {
            let bare = text.trim_start_matches('[').trim_end_matches(']');
            let address = bare.parse();
            Some(address.map_err(|_| ApiError::invalid(format!("invalid IP address: {text}")))?)
        }
    };
    Ok(PortBinding { host_ip, host_port: binding.host_port.parse::<HostPort>()? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_update_can_take_the_limit_of_processes_away() {
        let document = |limit: i64| -> HostDocument {
            crate::docker::body::parse(json!({ "PidsLimit": limit })).unwrap()
        };
        let update = |limit| document(limit).resources().unwrap().pids_limit;
        assert_eq!([update(0), update(5), update(-1)], [None, Some(5), Some(-1)]);
        let create = |limit| document(limit).into_domain().unwrap().resources.pids_limit;
        assert_eq!([create(0), create(5), create(-1)], [None, Some(5), None]);
    }
}
