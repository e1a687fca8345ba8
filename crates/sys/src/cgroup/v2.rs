//! Version 2: one directory for everything.

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    Cgroup, Limits, Throttle, ThrottleKind,
    limits::{io_weight, swap_alone, weight_of_shares},
    write,
};

/// Controllers handed down to every group.
const WANTED: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];
/// See version 1.
const FREEZE_DEADLINE: Duration = Duration::from_secs(5);

pub(super) fn create(group: &Cgroup) -> io::Result<()> {
    let Some(tree) = group.layout.hierarchies().first() else { return Ok(()) };
    let mut dir = tree.mount.clone();
    for part in group.path.components() {
        hand_down(&dir)?;
        dir.push(part);
        match fs::create_dir(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Gives the groups in `dir` the controllers `dir` has.
fn hand_down(dir: &Path) -> io::Result<()> {
    let available = fs::read_to_string(dir.join("cgroup.controllers"))?;
    let enabled = fs::read_to_string(dir.join("cgroup.subtree_control"))?;
    let has = |list: &str, name: &str| list.split_whitespace().any(|one| one == name);
    let missing: Vec<String> = WANTED
        .iter()
        .filter(|name| has(&available, name) && !has(&enabled, name))
        .map(|name| format!("+{name}"))
        .collect();
    enable(&missing, |names| write(&dir.join("cgroup.subtree_control"), names));
    Ok(())
}

/// Enables all at once or, as the kernel takes all or none, each that can be. One that
/// cannot (`cpu` beside a real-time process, say) is missed only by limits that need
/// it, and setting those fails.
fn enable(names: &[String], mut write: impl FnMut(&str) -> io::Result<()>) {
    if !names.is_empty() && write(&names.join(" ")).is_err() {
        for name in names {
            let _ = write(name);
        }
    }
}

pub(super) fn apply(group: &Cgroup, limits: &Limits) -> io::Result<()> {
    let dir = group.unified_dir();
    let set = |file: &str, value: Option<String>| set(&dir, file, value);
    set("memory.max", limits.memory_bytes.map(max_or))?;
    set("memory.low", limits.memory_reservation_bytes.map(max_or))?;
    if let Some(both) = limits.memory_swap_bytes {
        let swap = swap_alone(limits.memory_bytes.or_else(|| current_memory(&dir)), both);
        match set("memory.swap.max", swap) {
            // A kernel that does not account swap has no such file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    set("cpu.weight", limits.cpu_shares.map(|shares| weight_of_shares(shares).to_string()))?;
    set("cpu.max", cpu_max(&dir, limits))?;
    set("cpuset.cpus", limits.cpuset_cpus.clone())?;
    set("cpuset.mems", limits.cpuset_mems.clone())?;
    set(
        "pids.max",
        limits.pids_max.map(|max| if max <= 0 { "max".into() } else { max.to_string() }),
    )?;
    set("io.weight", limits.blkio_weight.map(|weight| format!("default {}", io_weight(weight))))?;
    for throttle in &limits.blkio_throttle {
        set("io.max", Some(io_max(throttle)))?;
    }
    for (file, value) in &limits.unified {
        if file.contains('/') {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        set(file, Some(value.clone()))?;
    }
    Ok(())
}

/// Writes a value if there is one. A limit on a controller the group lacks is an
/// error: it would not hold.
fn set(dir: &Path, file: &str, value: Option<String>) -> io::Result<()> {
    let Some(value) = value else { return Ok(()) };
    let controller = file.split('.').next().unwrap_or(file);
    let is_missing = || {
        let found = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
        !found.split_whitespace().any(|one| one == controller)
    };
    write(&dir.join(file), &value).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if is_missing() => {
            let text = format!("{file}: no cgroup controller {controller}");
            io::Error::new(io::ErrorKind::Unsupported, text)
        }
        kind => io::Error::new(kind, format!("{file}: {error}")),
    })
}

fn max_or(bytes: i64) -> String {
    if bytes < 0 { "max".into() } else { bytes.to_string() }
}

fn current_memory(dir: &Path) -> Option<i64> {
    fs::read_to_string(dir.join("memory.max")).ok()?.trim().parse().ok()
}

/// Quota and period live in one file; the one not given keeps its value.
fn cpu_max(dir: &Path, limits: &Limits) -> Option<String> {
    if limits.cpu_quota_us.is_none() && limits.cpu_period_us.is_none() {
        return None;
    }
    let old = fs::read_to_string(dir.join("cpu.max")).unwrap_or_default();
    let mut old = old.split_whitespace();
    let (old_quota, old_period) = (old.next().unwrap_or("max"), old.next().unwrap_or("100000"));
    let quota = match limits.cpu_quota_us {
        Some(quota) if quota > 0 => quota.to_string(),
        Some(_) => "max".into(),
        None => old_quota.into(),
    };
    let period = limits.cpu_period_us.filter(|&period| period > 0);
    Some(format!("{quota} {}", period.map_or(old_period.into(), |period| period.to_string())))
}

fn io_max(throttle: &Throttle) -> String {
    let key = match throttle.kind {
        ThrottleKind::ReadBytes => "rbps",
        ThrottleKind::WriteBytes => "wbps",
        ThrottleKind::ReadOperations => "riops",
        ThrottleKind::WriteOperations => "wiops",
    };
    let rate = if throttle.rate == 0 { "max".into() } else { throttle.rate.to_string() };
    format!("{}:{} {key}={rate}", throttle.major, throttle.minor)
}

pub(super) fn freeze(group: &Cgroup, frozen: bool) -> io::Result<()> {
    let dir = group.unified_dir();
    write(&dir.join("cgroup.freeze"), if frozen { "1" } else { "0" })?;
    let wanted = u64::from(frozen);
    let begin = Instant::now();
    while begin.elapsed() < FREEZE_DEADLINE {
        let events = super::stats::flat_keyed(&dir.join("cgroup.events"))?;
        if events.get("frozen") == Some(&wanted) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    if frozen {
        write(&dir.join("cgroup.freeze"), "0")?;
    }
    Err(io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Hierarchy, Layout},
        *,
    };

    #[test]
    fn one_controller_that_cannot_be_had_keeps_no_other_away() {
        let mut enabled = Vec::new();
        let names = ["+cpu", "+memory", "+pids"].map(str::to_owned);
        enable(&names, |names| {
            if names.contains("cpu") {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            enabled.push(names.to_owned());
            Ok(())
        });
        assert_eq!(enabled, ["+memory", "+pids"]);
    }

    #[test]
    fn a_limit_without_its_controller_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "memory pids\n").unwrap();
        for file in ["memory.max", "pids.max"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let tree = Hierarchy { controllers: Vec::new(), mount: "/".into() };
        let layout = Layout::V2([tree].into());
        let group = Cgroup::at(&layout, dir.path()).unwrap();
        let held = Limits {
            memory_bytes: Some(1 << 20),
            // Without a file for it, as of a kernel that does not account swap.
            memory_swap_bytes: Some(2 << 20),
            pids_max: Some(7),
            ..Limits::default()
        };
        apply(&group, &held).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("pids.max")).unwrap(), "7");
        let limits = Limits { cpu_shares: Some(2), ..Limits::default() };
        let refused = apply(&group, &limits).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        assert_eq!(refused.to_string(), "cpu.weight: no cgroup controller cpu");
        // Nor is swap held where memory is not.
        fs::write(dir.path().join("cgroup.controllers"), "pids\n").unwrap();
        let swap = Limits { memory_swap_bytes: Some(-1), ..Limits::default() };
        assert_eq!(apply(&group, &swap).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn quota_and_period_keep_the_other_half() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cpu.max"), "max 50000\n").unwrap();
        let quota = Limits { cpu_quota_us: Some(20_000), ..Limits::default() };
        assert_eq!(cpu_max(dir.path(), &quota).as_deref(), Some("20000 50000"));
        let period = Limits { cpu_period_us: Some(10_000), ..Limits::default() };
        assert_eq!(cpu_max(dir.path(), &period).as_deref(), Some("max 10000"));
        assert_eq!(cpu_max(dir.path(), &Limits::default()), None);
    }
}
