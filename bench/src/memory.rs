//! What the daemons and their shims keep in memory (`proc_pid_smaps(5)`).

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::peer::Peer;

/// Bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

struct Process {
    pid: String,
    name: String,
    arguments: String,
}

/// Resident memory of the daemon's processes together.
pub(crate) fn daemon(peer: &Peer) -> Result<Bytes> {
    let mut sum = 0;
    for process in processes(peer)? {
        let daemon = process.arguments.split('\0').nth(1) == Some("serve")
            && process.name == "shoal"
            || matches!(process.name.as_str(), "dockerd" | "containerd");
        // The shim is a daemon of dockerd's, too, and counted apart.
        if daemon {
            sum += field(&process.pid, "status", "VmRSS:")?;
        }
    }
    ensure!(sum > 0, "no daemon of {} was found", peer.name);
    Ok(Bytes(sum))
}

/// Private memory of a shim: what one more container costs beside itself.
pub(crate) fn per_shim(peer: &Peer) -> Result<Bytes> {
    let mut sizes = Vec::new();
    for process in processes(peer)? {
        if process.name.starts_with("shoal-shim") || process.name.starts_with("containerd-shim") {
            let clean = field(&process.pid, "smaps_rollup", "Private_Clean:")?;
            let dirty = field(&process.pid, "smaps_rollup", "Private_Dirty:")?;
            sizes.push(clean + dirty);
        }
    }
    ensure!(!sizes.is_empty(), "no shim of {} was found", peer.name);
    sizes.sort_unstable();
    Ok(Bytes(sizes[sizes.len() / 2]))
}

/// The processes in the peer's node. dockerd's containers leave the node's
/// cgroup, and its shims go with them: the namespace of processes holds all.
fn processes(peer: &Peer) -> Result<Vec<Process>> {
    let all: Vec<_> = fs::read_dir("/proc")?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
        .collect();
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let in_cgroup = |pid: &&String| {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        text.contains(&format!("{}/", peer.cgroup))
    };
    let member = all.iter().find(in_cgroup).context("the node has no processes")?;
    let own = namespace(member);
    ensure!(own.is_some(), "process {member} is gone");
    let read = |pid: &String| {
        Some(Process {
            pid: pid.clone(),
            name: fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned(),
            arguments: fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?,
        })
    };
    Ok(all.iter().filter(|pid| namespace(pid) == own).filter_map(read).collect())
}

/// A line `name   123 kB` of a file of a process, in bytes; 0 when it is gone.
fn field(pid: &str, file: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let Some(line) = text.lines().find(|line| line.starts_with(name)) else { return Ok(0) };
    let number = line.split_whitespace().nth(1).context("an empty line")?;
    Ok(number.parse::<u64>()? * 1024)
}
