//! Version 1: a directory per controller.

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use super::{Cgroup, DeviceRule, Limits, ThrottleKind, write};

/// How long freezing may take before it is given up; a process in the middle of
/// `vfork` or a slow disk operation cannot stop at once.
const FREEZE_DEADLINE: Duration = Duration::from_secs(5);

pub(super) fn create(group: &Cgroup) -> io::Result<()> {
    for tree in group.layout.hierarchies() {
        let cpuset = tree.controllers.iter().any(|name| name == "cpuset");
        create_in(&tree.mount, &group.path, cpuset)?;
    }
    Ok(())
}

/// Tries the whole path first: the groups above it are there except at the
/// first container.
fn create_in(mount: &Path, path: &Path, cpuset: bool) -> io::Result<()> {
    let dir = mount.join(path);
    match fs::create_dir(&dir) {
        Ok(()) if cpuset => inherit_cpuset(&dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().ok_or(error)?;
            create_in(mount, parent, cpuset)?;
            create_in(mount, path, cpuset)
        }
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// A new cpuset is empty and takes no process until it has cpus and nodes. So may
/// be the one above, if somebody is making it just now: then it is filled first.
fn inherit_cpuset(dir: &Path) -> io::Result<()> {
    let Some(parent) = dir.parent() else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let read = || fs::read_to_string(parent.join(file));
        let mut value = read()?;
        if value.trim().is_empty() {
            inherit_cpuset(parent)?;
            value = read()?;
        }
        write(&dir.join(file), value.trim())?;
    }
    Ok(())
}

pub(super) fn apply(group: &Cgroup, limits: &Limits) -> io::Result<()> {
    apply_memory(group, limits)?;
    set(group, "cpu", "cpu.shares", limits.cpu_shares)?;
    apply_quota(group, limits)?;
    set(group, "cpuset", "cpuset.cpus", limits.cpuset_cpus.as_ref())?;
    set(group, "cpuset", "cpuset.mems", limits.cpuset_mems.as_ref())?;
    let pids = limits.pids_max.map(|max| if max <= 0 { "max".into() } else { max.to_string() });
    set(group, "pids", "pids.max", pids)?;
    apply_block_io(group, limits)
}

fn apply_memory(group: &Cgroup, limits: &Limits) -> io::Result<()> {
    let limit = || set(group, "memory", "memory.limit_in_bytes", limits.memory_bytes);
    let both = || set(group, "memory", "memory.memsw.limit_in_bytes", limits.memory_swap_bytes);
    // Memory may never be above memory-and-swap, so growing wants the other order.
    match limit() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            both()?;
            limit()?;
        }
        other => {
            other?;
            match both() {
                // A kernel that does not account swap has no such file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
    }
    set(group, "memory", "memory.soft_limit_in_bytes", limits.memory_reservation_bytes)?;
    set(group, "memory", "memory.swappiness", limits.memory_swappiness)?;
    let disable = limits.oom_kill_disable.filter(|&disable| disable).map(u8::from);
    set(group, "memory", "memory.oom_control", disable)
}

/// A period shorter than the quota in force is refused, so the order depends.
fn apply_quota(group: &Cgroup, limits: &Limits) -> io::Result<()> {
    let period = || set(group, "cpu", "cpu.cfs_period_us", limits.cpu_period_us);
    let quota = || set(group, "cpu", "cpu.cfs_quota_us", limits.cpu_quota_us);
    match period() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            quota()?;
            period()
        }
        other => {
            other?;
            quota()
        }
    }
}

fn apply_block_io(group: &Cgroup, limits: &Limits) -> io::Result<()> {
    if let (Some(weight), Some(dir)) = (limits.blkio_weight, group.dir("blkio")) {
        // Which of the two files is there depends on the kernel's scheduler.
        let file = ["blkio.weight", "blkio.bfq.weight"].iter().find(|f| dir.join(f).exists());
        write(&dir.join(file.unwrap_or(&"blkio.weight")), &weight.to_string())?;
    }
    for throttle in &limits.blkio_throttle {
        let file = match throttle.kind {
            ThrottleKind::ReadBytes => "blkio.throttle.read_bps_device",
            ThrottleKind::WriteBytes => "blkio.throttle.write_bps_device",
            ThrottleKind::ReadOperations => "blkio.throttle.read_iops_device",
            ThrottleKind::WriteOperations => "blkio.throttle.write_iops_device",
        };
        let text = format!("{}:{} {}", throttle.major, throttle.minor, throttle.rate);
        set(group, "blkio", file, Some(text))?;
    }
    Ok(())
}

/// Writes a value if there is one. A limit on a controller the host lacks is an
/// error: it would not hold.
fn set(
    group: &Cgroup,
    controller: &str,
    file: &str,
    value: Option<impl ToString>,
) -> io::Result<()> {
    let Some(value) = value else { return Ok(()) };
    let dir = group.dir(controller).ok_or_else(|| {
        io::Error::new(io::ErrorKind::Unsupported, format!("no cgroup controller {controller}"))
    })?;
    write(&dir.join(file), &value.to_string())
        .map_err(|error| io::Error::new(error.kind(), format!("{file}: {error}")))
}

pub(super) fn set_devices(group: &Cgroup, rules: &[DeviceRule]) -> io::Result<()> {
    let Some(dir) = group.dir("devices") else {
        return match super::devices::allow_everything(rules) {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "no cgroup controller devices: what they forbid would be allowed",
            )),
        };
    };
    for rule in rules {
        let file = if rule.allow { "devices.allow" } else { "devices.deny" };
        write(&dir.join(file), &rule.v1_text())?;
    }
    Ok(())
}

pub(super) fn freeze(group: &Cgroup) -> io::Result<()> {
    let Some(dir) = group.dir("freezer") else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let state = dir.join("freezer.state");
    let begin = Instant::now();
    // A fork during the freeze can leave it half done until asked again.
    while begin.elapsed() < FREEZE_DEADLINE {
        write(&state, "FROZEN")?;
        if fs::read_to_string(&state)?.trim() == "FROZEN" {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    thaw(group)?;
    Err(io::ErrorKind::TimedOut.into())
}

pub(super) fn thaw(group: &Cgroup) -> io::Result<()> {
    match group.dir("freezer") {
        Some(dir) => write(&dir.join("freezer.state"), "THAWED"),
        None => Ok(()),
    }
}
