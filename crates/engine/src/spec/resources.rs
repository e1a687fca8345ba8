//! Limits and devices in the runtime's words.

use oci_spec::runtime::{
    LinuxCpu, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory, LinuxPids, LinuxResources,
};
use shoal_sys::cgroup::Limits;

use super::Facts;
use crate::container::record::Record;
use crate::domain::Resources;

/// Period against which processor time is measured; the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;
/// One processor in `nano_cpus`.
const NANO: u64 = 1_000_000_000;

/// Devices every container may use, as (major, minor); `None` is any.
const COMMON_DEVICES: [(i64, Option<i64>); 9] = [
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(1)), // console
    (5, Some(2)), // ptmx
    (136, None),  // pts
];

/// Everything for the container's cgroup.
pub(super) fn resources(record: &Record, facts: &Facts) -> LinuxResources {
    let mut resources = LinuxResources::default();
    let limits = limits(&record.host.resources);
    resources
        .set_devices(Some(devices(record, facts)))
        .set_memory(memory(&limits))
        .set_cpu(cpu(&limits))
        .set_pids(pids(&limits));
    resources
}

/// The limits of a container for its cgroup; what is not limited is not set.
pub(crate) fn limits(resources: &Resources) -> Limits {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    let (quota, period) = match resources.nano_cpus {
        Some(nano) => {
            let quota = u128::from(nano) * u128::from(CPU_PERIOD_US) / u128::from(NANO);
            (Some(i64::try_from(quota).unwrap_or(i64::MAX)), Some(CPU_PERIOD_US))
        }
        None => (resources.cpu_quota_us, resources.cpu_period_us),
    };
    Limits {
        memory_bytes: resources.memory_bytes.map(signed),
        memory_reservation_bytes: resources.memory_reservation_bytes.map(signed),
        memory_swap_bytes: memory_and_swap(resources),
        memory_swappiness: resources.memory_swappiness,
        cpu_shares: resources.cpu_shares,
        cpu_quota_us: quota,
        cpu_period_us: period,
        cpuset_cpus: text(&resources.cpuset_cpus),
        cpuset_mems: text(&resources.cpuset_mems),
        // Below 0: no limit, also where there was one.
        pids_max: resources.pids_limit.filter(|limit| *limit != 0),
        ..Limits::default()
    }
}

fn memory(limits: &Limits) -> Option<LinuxMemory> {
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(limits.memory_bytes)
        .set_swap(limits.memory_swap_bytes)
        .set_reservation(limits.memory_reservation_bytes)
        .set_swappiness(limits.memory_swappiness);
    (memory != LinuxMemory::default()).then_some(memory)
}

fn cpu(limits: &Limits) -> Option<LinuxCpu> {
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(limits.cpu_shares)
        .set_quota(limits.cpu_quota_us)
        .set_period(limits.cpu_period_us)
        .set_cpus(limits.cpuset_cpus.clone())
        .set_mems(limits.cpuset_mems.clone());
    (cpu != LinuxCpu::default()).then_some(cpu)
}

fn pids(limits: &Limits) -> Option<LinuxPids> {
    let mut pids = LinuxPids::default();
    pids.set_limit(limits.pids_max?);
    Some(pids)
}

/// Memory and swap together: as given, else twice the memory, as Docker does.
fn memory_and_swap(resources: &Resources) -> Option<i64> {
    match (resources.memory_swap_bytes, resources.memory_bytes) {
        (Some(swap), _) if swap != 0 => Some(swap),
        (_, Some(memory)) => Some(i64::try_from(memory.saturating_mul(2)).unwrap_or(i64::MAX)),
        _ => None,
    }
}

/// Nothing but making nodes, the common devices, and what was asked for.
fn devices(record: &Record, facts: &Facts) -> Vec<LinuxDeviceCgroup> {
    if record.host.privileged {
        return vec![rule(true, LinuxDeviceType::A, None, None, "rwm")];
    }
    let mut rules = vec![
        rule(false, LinuxDeviceType::A, None, None, "rwm"),
        rule(true, LinuxDeviceType::C, None, None, "m"),
        rule(true, LinuxDeviceType::B, None, None, "m"),
    ];
    rules.extend(
        COMMON_DEVICES
            .map(|(major, minor)| rule(true, LinuxDeviceType::C, Some(major), minor, "rwm")),
    );
    rules.extend(facts.devices.iter().map(|device| {
        let kind = if device.block { LinuxDeviceType::B } else { LinuxDeviceType::C };
        rule(true, kind, Some(device.major.into()), Some(device.minor.into()), &device.access)
    }));
    rules.extend(
        record.host.resources.device_cgroup_rules.iter().filter_map(|text| parse_rule(text)),
    );
    rules
}

/// Reads `c 1:3 rwm`, with `*` for any number and `a` for any kind.
pub(crate) fn parse_rule(text: &str) -> Option<LinuxDeviceCgroup> {
    let mut words = text.split_whitespace();
    let kind = match words.next()? {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |text: &str| match text {
        "*" => Some(None),
        digits => digits.parse().ok().map(Some),
    };
    let access = words.next()?;
    if words.next().is_some() || !access.bytes().all(|byte| b"rwm".contains(&byte)) {
        return None;
    }
    Some(rule(true, kind, number(major)?, number(minor)?, access))
}

fn rule(
    allow: bool,
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow)
        .set_typ(Some(kind))
        .set_major(major)
        .set_minor(minor)
        .set_access(Some(access.into()));
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_become_a_quota() {
        let resources = Resources { nano_cpus: Some(1_500_000_000), ..Resources::default() };
        let limits = limits(&resources);
        assert_eq!((limits.cpu_quota_us, limits.cpu_period_us), (Some(150_000), Some(100_000)));
    }

    #[test]
    fn swap_is_as_large_as_memory_when_nobody_says() {
        let memory = |swap| Resources {
            memory_bytes: Some(100),
            memory_swap_bytes: swap,
            ..Resources::default()
        };
        assert_eq!(memory_and_swap(&memory(None)), Some(200));
        assert_eq!(memory_and_swap(&memory(Some(-1))), Some(-1));
        assert_eq!(memory_and_swap(&memory(Some(150))), Some(150));
        assert_eq!(limits(&Resources::default()), Limits::default());
    }

    #[test]
    fn device_rules_are_read_or_refused() {
        let rule = parse_rule("c 10:* rw").unwrap();
        assert_eq!(
            (rule.major(), rule.minor(), rule.access().as_deref()),
            (Some(10), None, Some("rw"))
        );
        for text in ["c 10 rw", "x 1:2 r", "c 1:2 x", "c 1:2 r w", ""] {
            assert!(parse_rule(text).is_none(), "{text}");
        }
    }
}
