//! A real Docker Engine in namespaces of its own.
//!
//! The outer test makes a network and a mount namespace and runs its own binary again inside;
//! everything that is left then ends with them. A machine without Docker fails the test: a
//! promise nobody looked at is not kept.

use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};

use super::eventually;

/// Set, the inner test does its work; unset, it does nothing.
const INSIDE: &str = "SHOAL_TEST_INSIDE";
/// What is run here, and the package it comes with.
const PROGRAMS: [(&str, &str); 5] = [
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
    ("busybox", "busybox-static"),
];
pub const ADDRESS: &str = "10.77.0.1";

/// Runs a program to its end; its output, or a panic with everything it said.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Process::new(program).args(args).output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {args:?}: {out}{err}");
    out.trim().to_owned()
}

/// Fails unless everything the tests run is there.
fn require_programs() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    for (program, package) in PROGRAMS {
        assert!(
            installed(program),
            "{program} is not installed: install the package {package} (`cargo xtask test` installs \
             it)"
        );
    }
}

/// Gives a fresh network namespace its address, then becomes the program of its arguments. The
/// namespace has no name: naming one leaves a mount on the machine.
const IN_ITS_NETWORK: &str = "set -e
ip link set lo up
ip link add lan0 type veth peer name lan1
ip link set lan1 up
ip addr add $ADDRESS/24 dev lan0
ip link set lan0 up
exec \"$@\"";

/// Runs another test of this binary in fresh namespaces.
pub fn run_inside(test: &str) {
    require_programs();
    // Mounts in it end with the mount namespace: only then can it be removed.
    let scratch = tempfile::Builder::new().prefix("shoal-docker").tempdir().unwrap();
    let output = Process::new("unshare")
        .args([
            "--net",
            "--mount",
            "--propagation",
            "private",
            "--",
            "sh",
            "-c",
            IN_ITS_NETWORK,
            "sh",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("ADDRESS", ADDRESS)
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    scratch.close().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
}

/// Runs the inner test's work; does nothing in the namespaces of the machine.
pub fn within<F: Future<Output = ()>>(work: impl FnOnce() -> F) {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(work());
}

/// A dockerd with everything of its own; ended, and its cgroups removed, at the end.
pub struct Dockerd {
    child: Child,
    dir: tempfile::TempDir,
    cgroup: String,
}

impl Dockerd {
    pub async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("shoal-dockerd").tempdir().unwrap();
        let cgroup = format!("/shoal-dockerd-{}", std::process::id());
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let child = Process::new("dockerd")
            .args(["--data-root", &at("data"), "--exec-root", &at("exec")])
            .args(["--pidfile", &at("pid"), "--host", &format!("unix://{}", at("sock"))])
            .args(["--storage-driver", "vfs", "--bridge", "none", "--iptables=false"])
            .args(["--ip6tables=false", "--cgroup-parent", &cgroup])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let made = Self { child, dir, cgroup };
        eventually("dockerd answers", async || {
            Process::new("docker")
                .args(["-H", &made.host(), "version"])
                .output()
                .is_ok_and(|output| output.status.success())
        })
        .await;
        made
    }

    /// A path among the engine's own files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("sock").display())
    }

    pub fn docker(&self, args: &[&str]) -> String {
        let host = self.host();
        let mut all = vec!["-H", host.as_str()];
        all.extend(args);
        run("docker", &all)
    }

    /// An image of nothing but busybox.
    pub fn import_busybox(&self) {
        let root = self.dir.path().join("busybox");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        for name in ["sh", "sleep", "cat", "echo"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let tar = self.dir.path().join("busybox.tar").display().to_string();
        run("tar", &["-C", &root.display().to_string(), "-cf", &tar, "."]);
        self.docker(&["import", &tar, "ticker:1"]);
    }

    pub fn containers(&self) -> usize {
        self.docker(&["ps", "--quiet"]).lines().count()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<_> = log.lines().rev().take(60).collect();
            println!("dockerd's log, newest line first:\n{}", last.join("\n"));
        }
        let _ = Process::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        remove_cgroups(Path::new("/sys/fs/cgroup"), &self.cgroup);
    }
}

/// Removes the cgroup below every hierarchy; empty by now.
fn remove_cgroups(root: &Path, cgroup: &str) {
    let relative = cgroup.trim_start_matches('/');
    let hierarchies = std::fs::read_dir(root).into_iter().flatten().flatten();
    let places = hierarchies.map(|entry| entry.path().join(relative));
    for place in places.chain([root.join(relative)]).filter(|place| place.is_dir()) {
        remove_tree(&place);
    }
}

fn remove_tree(dir: &PathBuf) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_tree(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(dir);
}
