//! Measures containers.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use super::Containers;
use crate::clock;
use crate::domain::{NetworkCounters, Stats};
use crate::error::ContainerError;
use crate::node::{Node, blocking, machine_memory_bytes, processors};

/// `USER_HZ`: what `/proc/stat` counts in.
const TICKS_PER_SECOND: u64 = 100;

impl Containers {
    /// What a container uses now; all zero if it does not run.
    ///
    /// # Errors
    /// There is no container of that name.
    pub async fn stats(&self, name: &str) -> Result<Stats, ContainerError> {
        let container = self.table.find(name)?;
        let (active, pid) = {
            let state = container.state.borrow();
            (state.phase.has_process(), state.pid)
        };
        if !active {
            return Ok(Stats { read_at: Some(clock::now()), ..Stats::default() });
        }
        let record = container.record();
        let parent = record.host.resources.cgroup_parent.as_deref();
        let path = self.node.cgroups.path(&container.id, parent);
        let node = self.node.clone();
        let shared = matches!(
            record.host.network_mode,
            crate::domain::NetworkMode::Host | crate::domain::NetworkMode::Container(_)
        );
        let measured = blocking(move || measure(&node, &path, (!shared).then_some(pid))).await;
        match measured {
            Ok(stats) => Ok(stats),
            // It ended while we looked.
            Err(_) if !container.state.borrow().phase.has_process() => {
                Ok(Stats { read_at: Some(clock::now()), ..Stats::default() })
            }
            Err(error) => {
                Err(ContainerError::io(format!("cannot measure container {name}"))(error))
            }
        }
    }
}

fn measure(
    node: &Node,
    cgroup: &std::path::Path,
    network_pid: Option<u32>,
) -> std::io::Result<Stats> {
    let found = node.cgroups.at(cgroup)?.stats()?;
    let networks = match network_pid {
        Some(pid) => counters(&fs::read_to_string(format!("/proc/{pid}/net/dev"))?),
        None => BTreeMap::new(),
    };
    let (cpu, memory) = (found.cpu, found.memory);
    let machine = machine_memory_bytes();
    Ok(Stats {
        read_at: Some(clock::now()),
        cpu_total: Duration::from_nanos(cpu.usage_ns),
        cpu_kernel: Duration::from_nanos(cpu.system_ns),
        cpu_user: Duration::from_nanos(cpu.user_ns),
        cpu_per_processor: cpu.per_cpu_ns.into_iter().map(Duration::from_nanos).collect(),
        cpu_system: machine_cpu(&fs::read_to_string("/proc/stat")?),
        online_cpus: processors() as u32,
        throttling: (cpu.periods, cpu.throttled_periods, Duration::from_nanos(cpu.throttled_ns)),
        memory_usage_bytes: memory.usage_bytes,
        memory_max_usage_bytes: memory.max_usage_bytes,
        memory_limit_bytes: memory.limit_bytes.unwrap_or(machine).min(machine),
        memory_stat: memory.detail,
        memory_failures: memory.fail_count,
        pids: found.pids_current,
        pids_limit: found.pids_limit.unwrap_or(0),
        block_bytes: found
            .block_io
            .into_iter()
            .map(|io| (io.major, io.minor, io.operation, io.bytes))
            .collect(),
        networks,
    })
}

/// Processor time of the whole machine, idle included, from `/proc/stat`.
fn machine_cpu(stat: &str) -> Duration {
    let line = stat.lines().next().unwrap_or_default();
    // Guest time, in the last two columns, is part of user time already.
    let ticks: u64 =
        line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// Interfaces but loopback, from `/proc/PID/net/dev`.
fn counters(dev: &str) -> BTreeMap<String, NetworkCounters> {
    let line = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> =
            numbers.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [rx_bytes, rx_packets, rx_errors, rx_dropped, _, _, _, _, tx @ ..] = &numbers[..]
        else {
            return None;
        };
        let [tx_bytes, tx_packets, tx_errors, tx_dropped, ..] = tx else { return None };
        let counters = NetworkCounters {
            rx_bytes: *rx_bytes,
            rx_packets: *rx_packets,
            rx_errors: *rx_errors,
            rx_dropped: *rx_dropped,
            tx_bytes: *tx_bytes,
            tx_packets: *tx_packets,
            tx_errors: *tx_errors,
            tx_dropped: *tx_dropped,
        };
        Some((name.trim().to_owned(), counters))
    };
    dev.lines().filter_map(line).filter(|(name, _)| name != "lo").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_counted_without_loopback() {
        let dev = "Inter-|   Receive  |  Transmit\n face |bytes packets\n\
                   \x20   lo:     10  1 0 0 0 0 0 0  10 1 0 0 0 0 0 0\n\
                   \x20 eth0:   2000 20 1 2 0 0 0 0 300 30 3 4 0 0 0 0\n";
        let found = counters(dev);
        assert_eq!(found.len(), 1);
        let eth0 = found["eth0"];
        assert_eq!((eth0.rx_bytes, eth0.rx_dropped, eth0.tx_packets), (2000, 2, 30));
    }

    #[test]
    fn the_machines_time_has_all_columns_but_guests() {
        let stat = "cpu  100 0 100 700 100 0 0 0 50 50\ncpu0 1 1 1 1\n";
        assert_eq!(machine_cpu(stat), Duration::from_secs(10));
    }
}
