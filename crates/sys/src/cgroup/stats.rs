//! What a group uses, read from the kernel's files.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Cgroup;

/// One look at a group's use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Processes and threads now.
    pub pids_current: u64,
    /// How many may be; `None`: no limit.
    pub pids_limit: Option<u64>,
    /// Block IO, per device and operation.
    pub block_io: Vec<BlockIo>,
}

/// Processor time since the group was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuStats {
    /// All of it, in nanoseconds.
    pub usage_ns: u64,
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
    /// Per processor; empty on version 2.
    pub per_cpu_ns: Vec<u64>,
    /// Quota periods passed.
    pub periods: u64,
    /// Of these, with the quota used up.
    pub throttled_periods: u64,
    /// Time spent waiting for the next period.
    pub throttled_ns: u64,
}

/// Memory now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// Bytes, page cache included.
    pub usage_bytes: u64,
    /// The most it ever was; `None` where the kernel does not say.
    pub max_usage_bytes: Option<u64>,
    /// `None`: no limit.
    pub limit_bytes: Option<u64>,
    /// How often the limit was hit.
    pub fail_count: u64,
    /// `memory.stat` as it is; names differ between versions.
    pub detail: BTreeMap<String, u64>,
}

/// One counter of block IO.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockIo {
    /// The device.
    pub major: u64,
    /// The device.
    pub minor: u64,
    /// `read`, `write`, … as Docker names them, lower case.
    pub operation: String,
    /// Bytes moved.
    pub bytes: u64,
    /// Operations.
    pub operations: u64,
}

/// Version 1 says "no limit" with the largest page-aligned number.
const V1_NO_LIMIT: u64 = 1 << 62;
/// `USER_HZ`, in which `cpuacct.stat` counts: 100 on every Linux architecture
/// we build for.
const NANOS_PER_TICK: u64 = 10_000_000;

pub(super) fn read_v1(group: &Cgroup) -> io::Result<Stats> {
    let file = |controller: &str, name: &str| -> PathBuf {
        group.dir(controller).unwrap_or_default().join(name)
    };
    let ticks = flat_keyed(&file("cpuacct", "cpuacct.stat")).unwrap_or_default();
    let periods = flat_keyed(&file("cpu", "cpu.stat")).unwrap_or_default();
    let of = |map: &BTreeMap<String, u64>, key: &str| map.get(key).copied().unwrap_or(0);
    let per_cpu = fs::read_to_string(file("cpuacct", "cpuacct.usage_percpu")).unwrap_or_default();
    let limit = number(&file("memory", "memory.limit_in_bytes"));
    Ok(Stats {
        cpu: CpuStats {
            usage_ns: number(&file("cpuacct", "cpuacct.usage")).unwrap_or(0),
            user_ns: of(&ticks, "user") * NANOS_PER_TICK,
            system_ns: of(&ticks, "system") * NANOS_PER_TICK,
            per_cpu_ns: per_cpu.split_whitespace().filter_map(|one| one.parse().ok()).collect(),
            periods: of(&periods, "nr_periods"),
            throttled_periods: of(&periods, "nr_throttled"),
            throttled_ns: of(&periods, "throttled_time"),
        },
        memory: MemoryStats {
            // The one file whose absence means the group is gone.
            usage_bytes: read_number(&file("memory", "memory.usage_in_bytes"))?,
            max_usage_bytes: number(&file("memory", "memory.max_usage_in_bytes")),
            limit_bytes: limit.filter(|&limit| limit < V1_NO_LIMIT),
            fail_count: number(&file("memory", "memory.failcnt")).unwrap_or(0),
            detail: flat_keyed(&file("memory", "memory.stat")).unwrap_or_default(),
        },
        pids_current: number(&file("pids", "pids.current")).unwrap_or(0),
        pids_limit: number(&file("pids", "pids.max")),
        block_io: v1_block_io(
            &text(&file("blkio", "blkio.throttle.io_service_bytes_recursive")),
            &text(&file("blkio", "blkio.throttle.io_serviced_recursive")),
        ),
    })
}

pub(super) fn read_v2(group: &Cgroup) -> io::Result<Stats> {
    let dir = group.unified_dir();
    let cpu = flat_keyed(&dir.join("cpu.stat"))?;
    let of = |key: &str| cpu.get(key).copied().unwrap_or(0);
    let events = flat_keyed(&dir.join("memory.events")).unwrap_or_default();
    Ok(Stats {
        cpu: CpuStats {
            usage_ns: of("usage_usec") * 1000,
            user_ns: of("user_usec") * 1000,
            system_ns: of("system_usec") * 1000,
            per_cpu_ns: Vec::new(),
            periods: of("nr_periods"),
            throttled_periods: of("nr_throttled"),
            throttled_ns: of("throttled_usec") * 1000,
        },
        memory: MemoryStats {
            usage_bytes: number(&dir.join("memory.current")).unwrap_or(0),
            max_usage_bytes: number(&dir.join("memory.peak")),
            limit_bytes: number(&dir.join("memory.max")),
            fail_count: events.get("max").copied().unwrap_or(0),
            detail: flat_keyed(&dir.join("memory.stat")).unwrap_or_default(),
        },
        pids_current: number(&dir.join("pids.current")).unwrap_or(0),
        pids_limit: number(&dir.join("pids.max")),
        block_io: v2_block_io(&text(&dir.join("io.stat"))),
    })
}

/// Lines of `name number`.
pub(super) fn flat_keyed(path: &Path) -> io::Result<BTreeMap<String, u64>> {
    let text = fs::read_to_string(path)?;
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    Ok(text.lines().filter_map(pair).collect())
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// `None` for `max` and for a file that is not there.
fn number(path: &Path) -> Option<u64> {
    read_number(path).ok()
}

fn read_number(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// `8:0 Read 4096`, the same lines in both files; the line `Total N` is none.
fn v1_block_io(bytes: &str, operations: &str) -> Vec<BlockIo> {
    let parse = |line: &str| {
        let mut parts = line.split_whitespace();
        let (major, minor) = parts.next()?.split_once(':')?;
        let key = (major.parse::<u64>().ok()?, minor.parse::<u64>().ok()?);
        let operation = parts.next()?.to_lowercase();
        Some(((key, operation), parts.next()?.parse::<u64>().ok()?))
    };
    let counts: BTreeMap<_, _> = operations.lines().filter_map(parse).collect();
    bytes
        .lines()
        .filter_map(parse)
        .map(|(key, bytes)| {
            let operations = counts.get(&key).copied().unwrap_or(0);
            let ((major, minor), operation) = key;
            BlockIo { major, minor, operation, bytes, operations }
        })
        .collect()
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
fn v2_block_io(text: &str) -> Vec<BlockIo> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut parts = line.split_whitespace();
        let Some((major, minor)) = parts.next().and_then(|device| device.split_once(':')) else {
            continue;
        };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        let values: BTreeMap<&str, u64> = parts
            .filter_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                Some((key, value.parse().ok()?))
            })
            .collect();
        for (operation, bytes, operations) in
            [("read", "rbytes", "rios"), ("write", "wbytes", "wios")]
        {
            found.push(BlockIo {
                major,
                minor,
                operation: operation.into(),
                bytes: values.get(bytes).copied().unwrap_or(0),
                operations: values.get(operations).copied().unwrap_or(0),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_io_of_both_versions() {
        let v1 = v1_block_io("8:0 Read 10\n8:0 Write 20\nTotal 30\n", "8:0 Read 1\n8:0 Write 2\n");
        let v2 = v2_block_io("8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n");
        assert_eq!(v1, v2);
        assert_eq!(v1[1].operation, "write");
        assert_eq!((v1[1].bytes, v1[1].operations), (20, 2));
    }
}
