//! What a group may use, in the words of version 1 that Docker's API speaks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Limits of a group. `None` leaves the kernel's value; -1 where signed lifts the
/// limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory_bytes: Option<i64>,
    /// Memory guaranteed under pressure, in bytes.
    pub memory_reservation_bytes: Option<i64>,
    /// Memory **and** swap together, in bytes, as Docker counts.
    pub memory_swap_bytes: Option<i64>,
    /// 0 to 100. Version 1 only; left out on version 2, as every runtime does.
    pub memory_swappiness: Option<u64>,
    /// Let processes wait instead of killing one. Version 1 only.
    pub oom_kill_disable: Option<bool>,
    /// Relative weight, 2 to 262144, 1024 is the default.
    pub cpu_shares: Option<u64>,
    /// CPU time per period, in microseconds.
    pub cpu_quota_us: Option<i64>,
    /// The period, in microseconds.
    pub cpu_period_us: Option<u64>,
    /// CPUs (`0-2,5`).
    pub cpuset_cpus: Option<String>,
    /// Memory nodes.
    pub cpuset_mems: Option<String>,
    /// Processes and threads.
    pub pids_max: Option<i64>,
    /// Relative weight of block IO, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Ceilings per device.
    pub blkio_throttle: Vec<Throttle>,
    /// Version 2 files by name, written as they are.
    pub unified: BTreeMap<String, String>,
}

/// A ceiling on one device's IO.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// What is counted.
    pub kind: ThrottleKind,
    /// The device.
    pub major: i64,
    /// The device.
    pub minor: i64,
    /// Per second; 0 lifts the ceiling.
    pub rate: u64,
}

/// What a ceiling counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThrottleKind {
    /// Bytes read.
    ReadBytes,
    /// Bytes written.
    WriteBytes,
    /// Read operations.
    ReadOperations,
    /// Write operations.
    WriteOperations,
}

/// Version 1 shares as a version 2 weight: 2..=262144 onto 1..=10000 in a line,
/// the mapping the OCI runtimes agreed on.
pub(super) fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// Version 1 block weight (10..=1000) as version 2's (1..=10000).
pub(super) fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990
}

/// Version 2 counts swap alone. `None` if it cannot be said.
pub(super) fn swap_alone(memory: Option<i64>, both: i64) -> Option<String> {
    match (memory, both) {
        (_, -1) => Some("max".into()),
        (Some(memory), both) if memory >= 0 && both >= memory => Some((both - memory).to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_version_1_in_version_2() {
        assert_eq!(weight_of_shares(2), 1);
        assert_eq!(weight_of_shares(1024), 39);
        assert_eq!(weight_of_shares(262_144), 10_000);
        assert_eq!(io_weight(10), 1);
        assert_eq!(io_weight(1000), 10_000);
        assert_eq!(swap_alone(Some(100), 300).as_deref(), Some("200"));
        assert_eq!(swap_alone(Some(100), -1).as_deref(), Some("max"));
        assert_eq!(swap_alone(Some(300), 100), None);
    }
}
