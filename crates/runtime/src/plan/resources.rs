//! Control group and devices.

use std::path::PathBuf;

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};
use shoal_sys::cgroup::{DeviceKind, DeviceRule, Limits, Throttle, ThrottleKind};

use super::{absolute, invalid, unbuilt};
use crate::protocol::Failure;

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
        let resources = linux.resources().clone().unwrap_or_default();
        let limits = limits(&resources)?;
        let Some(path) = linux.cgroups_path().clone() else {
            return match limits == Limits::default() {
                true => Ok(None),
                false => Err(invalid("limits without a cgroupsPath")),
            };
        };
        if path.to_string_lossy().contains(':') {
            return Err(unbuilt("systemd cgroup paths"));
        }
        Ok(Some(Self { path, limits, devices: device_rules(&resources)? }))
    }
}

fn limits(resources: &LinuxResources) -> Result<Limits, Failure> {
    let used = |map: bool, what: &str| if map { Err(unbuilt(what)) } else { Ok(()) };
    used(resources.hugepage_limits().as_ref().is_some_and(|l| !l.is_empty()), "huge page limits")?;
    used(resources.rdma().as_ref().is_some_and(|l| !l.is_empty()), "RDMA limits")?;
    used(resources.network().is_some(), "network classes")?;
    let mut limits = Limits::default();
    if let Some(memory) = resources.memory() {
        used(memory.kernel().is_some_and(|l| l > 0), "kernel memory limits")?;
        used(memory.kernel_tcp().is_some_and(|l| l > 0), "kernel TCP memory limits")?;
        limits.memory_bytes = memory.limit().filter(|&limit| limit != 0);
        limits.memory_reservation_bytes = memory.reservation().filter(|&limit| limit != 0);
        limits.memory_swap_bytes = memory.swap().filter(|&limit| limit != 0);
        limits.memory_swappiness = memory.swappiness();
        limits.oom_kill_disable = memory.disable_oom_killer();
    }
    if let Some(cpu) = resources.cpu() {
        let realtime = cpu.realtime_runtime().is_some_and(|time| time != 0)
            || cpu.realtime_period().is_some_and(|time| time != 0);
        used(realtime, "realtime CPU limits")?;
        used(cpu.idle().is_some_and(|idle| idle != 0), "idle CPU groups")?;
        used(cpu.burst().is_some_and(|burst| burst != 0), "CPU bursts")?;
        limits.cpu_shares = cpu.shares().filter(|&shares| shares != 0);
        limits.cpu_quota_us = cpu.quota().filter(|&quota| quota != 0);
        limits.cpu_period_us = cpu.period().filter(|&period| period != 0);
        limits.cpuset_cpus = cpu.cpus().clone().filter(|list| !list.is_empty());
        limits.cpuset_mems = cpu.mems().clone().filter(|list| !list.is_empty());
    }
    limits.pids_max = resources.pids().as_ref().map(|pids| pids.limit()).filter(|&max| max != 0);
    if let Some(block) = resources.block_io() {
        used(block.leaf_weight().is_some_and(|weight| weight != 0), "leaf weights of block IO")?;
        used(block.weight_device().as_ref().is_some_and(|l| !l.is_empty()), "device weights")?;
        limits.blkio_weight = block.weight().filter(|&weight| weight != 0);
        for (kind, list) in [
            (ThrottleKind::ReadBytes, block.throttle_read_bps_device()),
            (ThrottleKind::WriteBytes, block.throttle_write_bps_device()),
            (ThrottleKind::ReadOperations, block.throttle_read_iops_device()),
            (ThrottleKind::WriteOperations, block.throttle_write_iops_device()),
        ] {
            limits.blkio_throttle.extend(list.iter().flatten().map(|device| Throttle {
                kind,
                major: device.major(),
                minor: device.minor(),
                rate: device.rate(),
            }));
        }
    }
    limits.unified = resources.unified().clone().unwrap_or_default().into_iter().collect();
    Ok(limits)
}

/// The spec's rules, then what every container may use. A spec without rules
/// denies all else.
fn device_rules(resources: &LinuxResources) -> Result<Vec<DeviceRule>, Failure> {
    let asked: Vec<DeviceRule> =
        resources.devices().iter().flatten().map(device_rule).collect::<Result<_, _>>()?;
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

fn device_rule(rule: &LinuxDeviceCgroup) -> Result<DeviceRule, Failure> {
    let kind = match rule.typ() {
        None | Some(LinuxDeviceType::A) => DeviceKind::All,
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => DeviceKind::Char,
        Some(LinuxDeviceType::B) => DeviceKind::Block,
        Some(LinuxDeviceType::P) => return Err(invalid("a device rule for pipes")),
    };
    // -1 stands for any.
    let number = |part: Option<i64>| part.and_then(|number| u32::try_from(number).ok());
    let access = rule.access().as_deref().unwrap_or("rwm");
    Ok(DeviceRule {
        allow: rule.allow(),
        kind,
        major: number(rule.major()),
        minor: number(rule.minor()),
        read: access.contains('r'),
        write: access.contains('w'),
        mknod: access.contains('m'),
    })
}

/// The default nodes, then the spec's; one of the spec wins over a default.
pub(super) fn device_nodes(linux: &Linux) -> Result<Vec<DeviceNode>, Failure> {
    let asked: Vec<DeviceNode> =
        linux.devices().iter().flatten().map(device_node).collect::<Result<_, _>>()?;
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

fn device_node(device: &LinuxDevice) -> Result<DeviceNode, Failure> {
    let part = |number: i64| {
        u32::try_from(number).map_err(|_| {
            invalid(format!("device {}: {number} is no device number", device.path().display()))
        })
    };
    let numbers = || Ok((part(device.major())?, part(device.minor())?));
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => {
            let (major, minor) = numbers()?;
            DeviceNodeKind::Char(major, minor)
        }
        LinuxDeviceType::B => {
            let (major, minor) = numbers()?;
            DeviceNodeKind::Block(major, minor)
        }
        LinuxDeviceType::P => DeviceNodeKind::Fifo,
        LinuxDeviceType::A => {
            return Err(invalid(format!("device {} has no type", device.path().display())));
        }
    };
    Ok(DeviceNode {
        path: absolute(device.path())?,
        kind,
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}
