//! What it costs to start a container: processor time of everything involved,
//! time passed, and private memory while it runs.
//!
//! `start_cost SHIM [COUNT]`, as root. SHIM: a `shoal-shim` built with profile
//! `shim`. Prints medians.

use std::{
    error::Error,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;
use shoal_runtime::{
    bundle::{Bundle, Lenient, LogConfig, RootFs, ShimConfig},
    client::Connection,
    launch::{CREATE_REQUEST_ID, Launched, ShimBinary, launch},
    protocol::{Operation, Reply},
};
use shoal_sys::{
    cgroup::{Cgroup, Layout},
    seccomp::Program,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One container's cost.
struct Cost {
    created: Duration,
    ended: Duration,
    gone: Duration,
    cpu: Duration,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let shim = arguments.next().ok_or("usage: start_cost SHIM [COUNT]")?;
    let count: usize = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let shim = ShimBinary::open(Path::new(&shim))?;
    let dir = std::env::temp_dir().join(format!("start-cost-{}", std::process::id()));
    prepare(&dir)?;
    let mut costs = Vec::new();
    for number in 0..count {
        costs.push(run_one(&shim, &dir, number)?);
    }
    let private = private_memory(&shim, &dir, count)?;
    fs::remove_dir_all(&dir)?;
    Cgroup::at(&Layout::detect()?, "/shoal-start-cost")?.remove()?;
    let median = |of: fn(&Cost) -> Duration| {
        let mut all: Vec<Duration> = costs.iter().map(of).collect();
        all.sort();
        all[all.len() / 2]
    };
    let line = format!(
        "created {:?}  ended {:?}  gone {:?}  cpu {:?}  private {private} kB",
        median(|c| c.created),
        median(|c| c.ended),
        median(|c| c.gone),
        median(|c| c.cpu),
    );
    std::io::Write::write_all(&mut std::io::stdout(), format!("{line}\n").as_bytes())?;
    Ok(())
}

fn prepare(dir: &Path) -> Result<()> {
    let lower = dir.join("lower");
    for name in ["bin", "proc", "sys", "dev", "etc"] {
        fs::create_dir_all(lower.join(name))?;
    }
    fs::copy("/bin/busybox", lower.join("bin/busybox"))?;
    std::os::unix::fs::symlink("busybox", lower.join("bin/true"))?;
    std::os::unix::fs::symlink("busybox", lower.join("bin/sleep"))?;
    Program::docker_default(CAPABILITIES)?.write_to(fs::File::create(dir.join("seccomp"))?)?;
    Ok(())
}

fn bundle(dir: &Path, number: usize, args: &[&str]) -> Result<Bundle> {
    let own = dir.join(format!("container{number}"));
    for name in ["upper", "work", "bundle"] {
        fs::create_dir_all(own.join(name))?;
    }
    let bundle = Bundle::new(own.join("bundle"));
    let config = ShimConfig {
        id: number.to_string(),
        root: RootFs::Overlay {
            lower: vec![dir.join("lower")],
            upper: own.join("upper"),
            work: own.join("work"),
        },
        open_stdin: false,
        stdin_once: false,
        log: Some(LogConfig { path: own.join("log"), max_size_bytes: None, max_files: 1 }),
        seccomp_program: Some(dir.join("seccomp")),
        user_text: Some(String::new()),
        group_texts: vec![],
        network_from_engine: false,
        lenient: Lenient { rlimits: true, oom_score_adj: true },
    };
    let cgroup = format!("/shoal-start-cost/{}-{number}", std::process::id());
    bundle.write(&spec(args, &cgroup), &config)?;
    Ok(bundle)
}

fn run_one(shim: &ShimBinary, dir: &Path, number: usize) -> Result<Cost> {
    let bundle = bundle(dir, number, &["true"])?;
    let cpu = cpu_time();
    let begin = Instant::now();
    let Launched { control, process } = launch(shim, &bundle, None)?;
    let mut control = Connection::over(control);
    control.answer(CREATE_REQUEST_ID)?;
    let created = begin.elapsed();
    let wait = control.send(Operation::Wait)?;
    let start = control.send(Operation::Start)?;
    control.answer(start)?;
    let Reply::Exited(_) = control.answer(wait)? else { return Err("no exit".into()) };
    let ended = begin.elapsed();
    if control.output()?.is_some() {
        return Err("unexpected output".into());
    }
    process.reap()?;
    let gone = begin.elapsed();
    Ok(Cost { created, ended, gone, cpu: cpu_time() - cpu })
}

/// Of this process and of all its children, theirs included.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let own = stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
    Duration::from_nanos(own) + children_time()
}

/// In ticks of 10 ms, so only sums over many mean something; prefer `perf stat`.
fn children_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or("");
    let mut parts = after.split_whitespace().skip(13);
    let mut ticks = || parts.next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks() + ticks()) * 10)
}

/// The shim's, half a second after its container began to idle, with ten of them.
fn private_memory(shim: &ShimBinary, dir: &Path, from: usize) -> Result<u64> {
    let mut running = Vec::new();
    for number in from..from + 10 {
        let bundle = bundle(dir, number, &["sleep", "1000"])?;
        let Launched { control, process } = launch(shim, &bundle, None)?;
        let mut control = Connection::over(control);
        control.answer(CREATE_REQUEST_ID)?;
        control.call(Operation::Start)?;
        running.push((control, process));
    }
    std::thread::sleep(Duration::from_secs(2));
    let pid = running.first().map(|(_, process)| process.pid()).unwrap_or(0);
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let private = text
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum();
    for (mut control, process) in running {
        control.send(Operation::Delete)?;
        while !matches!(control.output(), Ok(None)) {}
        process.reap()?;
    }
    Ok(private)
}

const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

fn spec(args: &[&str], cgroup: &str) -> serde_json::Value {
    json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "hostname": "bench",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/", "env": ["PATH=/bin"],
            "capabilities": {
                "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES
            }
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["ro", "nosuid", "noexec", "nodev"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]}
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "resources": {
                "memory": {"limit": 67_108_864}, "pids": {"limit": 100},
                "cpu": {"shares": 512, "quota": 50_000, "period": 100_000}
            },
            "namespaces": [
                {"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "ipc"},
                {"type": "network"}
            ],
            "maskedPaths": [
                "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
                "/sys/firmware", "/sys/devices/virtual/powercap"
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"
            ]
        }
    })
}
