//! The machine's half of a container's configuration, as Docker shows it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use shoal_engine::domain::{
    HostConfig, LogConfig, MountPoint, Port, PortBinding, Resources, RestartPolicy,
};

use super::mount;

/// `HostConfig`; `mounts` tells which ones came as `--mount`.
pub(super) fn render(host: &HostConfig, mounts: &[MountPoint]) -> Value {
    let HostConfig {
        network_mode,
        port_bindings,
        publish_all_ports,
        restart_policy,
        auto_remove,
        binds,
        tmpfs,
        mounts: _,
        resources,
        cap_add,
        cap_drop,
        privileged,
        seccomp: _,
        no_new_privileges: _,
        security_opt,
        readonly_rootfs,
        sysctls,
        shm_size_bytes,
        dns,
        dns_options,
        dns_search,
        extra_hosts,
        group_add,
        ipc_mode,
        pid_mode,
        uts_mode,
        cgroupns_mode,
        log,
        oom_score_adj,
        masked_paths,
        readonly_paths,
        console_size,
        annotations,
    } = host;
    const SHM_BYTES: u64 = 64 << 20; // Docker's default
    let size = console_size.map_or([0, 0], |size| [size.rows, size.columns]);
    let mut document = json!({
        "Binds": list_or_null(binds),
        "ContainerIDFile": "",
        "LogConfig": render_log(log),
        "NetworkMode": network_mode.to_string(),
        "PortBindings": render_bindings(port_bindings),
        "RestartPolicy": render_restart(*restart_policy),
        "AutoRemove": auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": null,
        "ConsoleSize": size,
        "CapAdd": list_or_null(cap_add),
        "CapDrop": list_or_null(cap_drop),
        "CgroupnsMode": cgroupns_mode.to_string(),
        "Dns": dns,
        "DnsOptions": dns_options,
        "DnsSearch": dns_search,
        "ExtraHosts": list_or_null(extra_hosts),
        "GroupAdd": list_or_null(group_add),
        "IpcMode": ipc_mode.to_string(),
        "Cgroup": "",
        "Links": null,
        "OomScoreAdj": oom_score_adj,
        "PidMode": pid_mode.to_string(),
        "Privileged": privileged,
        "PublishAllPorts": publish_all_ports,
        "ReadonlyRootfs": readonly_rootfs,
        "SecurityOpt": list_or_null(security_opt),
        "UTSMode": uts_mode.to_string(),
        "UsernsMode": "",
        "ShmSize": shm_size_bytes.unwrap_or(SHM_BYTES),
        "Sysctls": sysctls,
        "Runtime": "shoal",
        "Isolation": "",
        "MaskedPaths": masked_paths,
        "ReadonlyPaths": readonly_paths,
        "Annotations": annotations,
        "Tmpfs": if tmpfs.is_empty() { Value::Null } else { json!(tmpfs) },
    });
    let requested: Vec<Value> = mounts
        .iter()
        .filter(|point| point.from_mounts)
        .map(|point| mount::render_request(&point.mount))
        .collect();
    if !requested.is_empty() {
        document["Mounts"] = Value::Array(requested);
    }
    if let Value::Object(document) = &mut document {
        document.extend(render_resources(resources));
    }
    document
}

fn render_resources(resources: &Resources) -> Map<String, Value> {
    let Resources {
        memory_bytes,
        memory_swap_bytes,
        memory_reservation_bytes,
        memory_swappiness,
        nano_cpus,
        cpu_shares,
        cpu_quota_us,
        cpu_period_us,
        cpuset_cpus,
        cpuset_mems,
        pids_limit,
        ulimits,
        devices,
        device_cgroup_rules,
        cgroup_parent,
    } = resources;
    let devices: Vec<Value> = devices
        .iter()
        .map(|device| {
            json!({
                "PathOnHost": device.path_on_host.display().to_string(),
                "PathInContainer": device.path_in_container.display().to_string(),
                "CgroupPermissions": device.permissions,
            })
        })
        .collect();
    let ulimits: Vec<Value> = ulimits
        .iter()
        .map(|limit| json!({ "Name": limit.name, "Soft": limit.soft, "Hard": limit.hard }))
        .collect();
    let document = json!({
        "CpuShares": cpu_shares.unwrap_or_default(),
        "Memory": memory_bytes.unwrap_or_default(),
        "NanoCpus": nano_cpus.unwrap_or_default(),
        "CgroupParent": cgroup_parent.as_deref().unwrap_or_default(),
        "BlkioWeight": 0,
        "BlkioWeightDevice": [],
        "BlkioDeviceReadBps": [],
        "BlkioDeviceWriteBps": [],
        "BlkioDeviceReadIOps": [],
        "BlkioDeviceWriteIOps": [],
        "CpuPeriod": cpu_period_us.unwrap_or_default(),
        "CpuQuota": cpu_quota_us.unwrap_or_default(),
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": cpuset_cpus,
        "CpusetMems": cpuset_mems,
        "Devices": devices,
        "DeviceCgroupRules": list_or_null(device_cgroup_rules),
        "DeviceRequests": null,
        "MemoryReservation": memory_reservation_bytes.unwrap_or_default(),
        "MemorySwap": memory_swap_bytes.unwrap_or_default(),
        "MemorySwappiness": memory_swappiness,
        "OomKillDisable": false,
        "PidsLimit": pids_limit,
        "Ulimits": ulimits,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    });
    match document {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn list_or_null(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

fn render_restart(policy: RestartPolicy) -> Value {
    let max_retries = match policy {
        RestartPolicy::OnFailure { max_retries } => max_retries.unwrap_or_default(),
        _ => 0,
    };
    json!({ "Name": policy.name(), "MaximumRetryCount": max_retries })
}

fn render_log(log: &LogConfig) -> Value {
    json!({ "Type": log.driver.name(), "Config": log.options })
}

fn render_bindings(bindings: &BTreeMap<Port, Vec<PortBinding>>) -> Value {
    let render_binding = |binding: &PortBinding| {
        let ip = binding.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
        json!({ "HostIp": ip, "HostPort": binding.host_port.to_string() })
    };
    let render = |(port, bindings): (&Port, &Vec<PortBinding>)| {
        (port.to_string(), bindings.iter().map(render_binding).collect::<Value>())
    };
    Value::Object(bindings.iter().map(render).collect())
}
