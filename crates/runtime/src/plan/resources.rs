//! Control group and devices.

use std::path::PathBuf;

use shoal_sys::cgroup::{DeviceKind, DeviceRule, Limits, Throttle, ThrottleKind};

use super::{absolute, invalid, unbuilt};
use crate::{
    protocol::Failure,
    spec::{self, Device, Linux, Resources},
};

/// The control group a container lives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CgroupPlan {
    pub(crate) path: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) devices: Vec<DeviceRule>,
}

/// A device node to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceNode {
    /// In the container.
    pub(crate) path: PathBuf,
    pub(crate) kind: DeviceNodeKind,
    /// Permissions, 0o666 by default.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What sort of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceNodeKind {
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
}

/// Devices every container has (runtime-spec, config-linux, "Default Devices").
const DEFAULT_DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];
/// Major number of pseudo terminals.
const PSEUDO_TERMINALS: u32 = 136;
/// `/dev/ptmx`, and `/dev/console`, which is a bind mount of a terminal.
const TERMINAL_MAKERS: [(u32, u32); 2] = [(5, 2), (5, 1)];

impl CgroupPlan {
    pub(super) fn new(linux: &Linux) -> Result<Option<Self>, Failure> {
        let resources = &linux.resources;
        let limits = limits(resources)?;
        let Some(path) = linux.cgroups_path.clone() else {
            return match limits == Limits::default() {
                true => Ok(None),
                false => Err(invalid("limits without a cgroupsPath")),
            };
        };
        if path.to_string_lossy().contains(':') {
            return Err(unbuilt("systemd cgroup paths"));
        }
        Ok(Some(Self { path, limits, devices: device_rules(resources)? }))
    }
}

fn limits(resources: &Resources) -> Result<Limits, Failure> {
    let Resources { memory, cpu, block_io: block, .. } = resources;
    let positive = |limit: Option<i64>| limit.is_some_and(|limit| limit > 0);
    let unbuilt_parts = [
        (resources.hugepage_limits.says_something(), "huge page limits"),
        (resources.rdma.says_something(), "RDMA limits"),
        (resources.network.says_something(), "network classes"),
        (positive(memory.kernel), "kernel memory limits"),
        (positive(memory.kernel_tcp), "kernel TCP memory limits"),
        (cpu.realtime_runtime.says_something(), "realtime CPU limits"),
        (cpu.realtime_period.says_something(), "realtime CPU limits"),
        (cpu.idle.says_something(), "idle CPU groups"),
        (cpu.burst.says_something(), "CPU bursts"),
        (block.leaf_weight.says_something(), "leaf weights of block IO"),
        (block.weight_device.says_something(), "device weights of block IO"),
    ];
    if let Some((_, what)) = unbuilt_parts.into_iter().find(|(asked, _)| *asked) {
        return Err(unbuilt(what));
    }
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut limits = Limits {
        memory_bytes: memory.limit.filter(|&limit| limit != 0),
        memory_reservation_bytes: memory.reservation.filter(|&limit| limit != 0),
        memory_swap_bytes: memory.swap.filter(|&limit| limit != 0),
        memory_swappiness: memory.swappiness,
        oom_kill_disable: memory.disable_oom_killer,
        cpu_shares: cpu.shares.filter(|&shares| shares != 0),
        cpu_quota_us: cpu.quota.filter(|&quota| quota != 0),
        cpu_period_us: cpu.period.filter(|&period| period != 0),
        cpuset_cpus: text(&cpu.cpus),
        cpuset_mems: text(&cpu.mems),
        pids_max: resources.pids.as_ref().map(|pids| pids.limit).filter(|&max| max != 0),
        blkio_weight: block.weight.filter(|&weight| weight != 0),
        blkio_throttle: Vec::new(),
        unified: resources.unified.clone(),
    };
    for (kind, list) in [
        (ThrottleKind::ReadBytes, &block.throttle_read_bps_device),
        (ThrottleKind::WriteBytes, &block.throttle_write_bps_device),
        (ThrottleKind::ReadOperations, &block.throttle_read_iops_device),
        (ThrottleKind::WriteOperations, &block.throttle_write_iops_device),
    ] {
        limits.blkio_throttle.extend(list.iter().map(|device| {
            let &spec::ThrottleDevice { major, minor, rate } = device;
            Throttle { kind, major, minor, rate }
        }));
    }
    Ok(limits)
}

/// The spec's rules, then what every container may use. A spec without rules
/// denies all else.
fn device_rules(resources: &Resources) -> Result<Vec<DeviceRule>, Failure> {
    let asked: Vec<DeviceRule> =
        resources.devices.iter().map(device_rule).collect::<Result<_, _>>()?;
    let everything = DeviceRule { allow: true, ..DeviceRule::DENY_ALL };
    if asked.last() == Some(&everything) {
        return Ok(vec![everything]);
    }
    let mut rules = vec![DeviceRule::DENY_ALL];
    // Making a node is harmless where it cannot be opened.
    for kind in [DeviceKind::Char, DeviceKind::Block] {
        rules.push(DeviceRule {
            kind,
            allow: true,
            read: false,
            write: false,
            ..DeviceRule::DENY_ALL
        });
    }
    rules.extend(asked.into_iter().filter(|rule| *rule != DeviceRule::DENY_ALL));
    rules.extend(
        DEFAULT_DEVICES.map(|(_, major, minor)| DeviceRule::allow_char(major, Some(minor))),
    );
    rules.extend(TERMINAL_MAKERS.map(|(major, minor)| DeviceRule::allow_char(major, Some(minor))));
    rules.push(DeviceRule::allow_char(PSEUDO_TERMINALS, None));
    Ok(rules)
}

fn device_rule(rule: &spec::DeviceRule) -> Result<DeviceRule, Failure> {
    let kind = match rule.r#type.as_deref() {
        None | Some("" | "a") => DeviceKind::All,
        Some("c" | "u") => DeviceKind::Char,
        Some("b") => DeviceKind::Block,
        Some(other) => return Err(invalid(format!("a device rule for type {other:?}"))),
    };
    let number = |part: Option<i64>| match part {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| invalid(format!("a device rule for number {number}"))),
    };
    let access = rule.access.as_deref().unwrap_or("rwm");
    Ok(DeviceRule {
        allow: rule.allow,
        kind,
        major: number(rule.major)?,
        minor: number(rule.minor)?,
        read: access.contains('r'),
        write: access.contains('w'),
        mknod: access.contains('m'),
    })
}

/// The default nodes, then the spec's; one of the spec wins over a default.
pub(super) fn device_nodes(linux: &Linux) -> Result<Vec<DeviceNode>, Failure> {
    let asked: Vec<DeviceNode> = linux.devices.iter().map(device_node).collect::<Result<_, _>>()?;
    let mut nodes: Vec<DeviceNode> = DEFAULT_DEVICES
        .iter()
        .map(|&(path, major, minor)| DeviceNode {
            path: path.into(),
            kind: DeviceNodeKind::Char(major, minor),
            mode: 0o666,
            uid: 0,
            gid: 0,
        })
        .filter(|node| asked.iter().all(|other| other.path != node.path))
        .collect();
    nodes.extend(asked);
    Ok(nodes)
}

fn device_node(device: &Device) -> Result<DeviceNode, Failure> {
    let part = |number: i64| {
        u32::try_from(number).map_err(|_| {
            invalid(format!("device {}: {number} is no device number", device.path.display()))
        })
    };
    let numbers = || Ok((part(device.major)?, part(device.minor)?));
    let kind = match device.r#type.as_str() {
        "c" | "u" => {
            let (major, minor) = numbers()?;
            DeviceNodeKind::Char(major, minor)
        }
        "b" => {
            let (major, minor) = numbers()?;
            DeviceNodeKind::Block(major, minor)
        }
        "p" => DeviceNodeKind::Fifo,
        _ => {
            return Err(invalid(format!("device {} has no type", device.path.display())));
        }
    };
    Ok(DeviceNode {
        path: absolute(&device.path)?,
        kind,
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    })
}
