//! Process 1 of a node: makes the namespaces a machine, runs the daemon,
//! starts it again when it dies, and reaps what is left to it.
//!
//! ```text
//!   waiting ──"go" on stdin──▶ running ──daemon died──▶ pause ──▶ running
//!                                 │
//!                              SIGTERM ──▶ daemon told, waited for ──▶ end
//! ```
//!
//! SIGKILL from outside ends every process of the node: that is what stopping
//! a node means.

use std::{
    fs,
    io::BufRead,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use rustix::{
    fs::{CWD, Mode},
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind,
        mount_change, move_mount, open_tree,
    },
    process::{Pid, Signal, WaitOptions, WaitStatus},
};
use tokio::signal::unix::{SignalKind, signal};

use super::{links::Links, state::NodeDir};

/// Between a daemon's death and its next start: long enough not to spin when
/// it dies at once, short enough that a kill is hardly noticed.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// What a node is told about itself.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct Init {
    /// The node's folder
    #[arg(long)]
    pub(super) dir: PathBuf,
    /// Its host name
    #[arg(long)]
    pub(super) hostname: String,
    /// Its address
    #[arg(long)]
    pub(super) address: Ipv4Addr,
    /// The host's address
    #[arg(long)]
    pub(super) gateway: Ipv4Addr,
    /// The link that is to become eth0
    #[arg(long)]
    pub(super) link: String,
    /// The cgroup parent of its containers
    #[arg(long)]
    pub(super) cgroup_parent: String,
    /// The cluster's subnet: registries in it may speak plain http
    #[arg(long)]
    pub(super) subnet: String,
    /// Further arguments for the daemon
    #[arg(last = true)]
    pub(super) daemon_args: Vec<String>,
}

impl Init {
    /// The same as words of a command line.
    pub(super) fn args(&self) -> Vec<String> {
        let Self { dir, hostname, address, gateway, link, cgroup_parent, subnet, daemon_args } =
            self;
        let mut args = Vec::new();
        for (flag, value) in [
            ("--dir", dir.display().to_string()),
            ("--hostname", hostname.clone()),
            ("--address", address.to_string()),
            ("--gateway", gateway.to_string()),
            ("--link", link.clone()),
            ("--cgroup-parent", cgroup_parent.clone()),
            ("--subnet", subnet.clone()),
        ] {
            args.extend([flag.to_owned(), value]);
        }
        args.push("--".into());
        args.extend(daemon_args.iter().cloned());
        args
    }

    pub(super) fn run(self) -> Result<()> {
        let node = NodeDir::at(self.dir.clone());
        mounts(&node)?;
        rustix::system::sethostname(self.hostname.as_bytes())
            .context("cannot set the host name")?;
        wait_for_go()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            Links::open()?.configure_node(&self.link, self.address, self.gateway).await?;
            self.supervise(&node).await
        })
    }

    /// Runs the daemon until told to end.
    async fn supervise(&self, node: &NodeDir) -> Result<()> {
        let mut children = signal(SignalKind::child())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut daemon = Some(self.start_daemon(node)?);
        loop {
            tokio::select! {
                _ = children.recv() => {
                    if let Some(how) = reap(daemon) {
                        daemon = None;
                        // A full disk must not take the node's containers along.
                        // It is only for whoever creates or starts the node.
                        let _ = node.set_ended(&how);
                    }
                }
                _ = terminate.recv() => break,
                () = tokio::time::sleep(RESTART_PAUSE), if daemon.is_none() => {
                    daemon = Some(self.start_daemon(node)?);
                }
            }
        }
        if let Some(pid) = daemon {
            rustix::process::kill_process(pid, Signal::TERM).context("cannot stop the daemon")?;
            while reap(daemon).is_none() {
                children.recv().await;
            }
        }
        Ok(())
    }

    fn start_daemon(&self, node: &NodeDir) -> Result<Pid> {
        let program = std::env::current_exe().context("cannot find this program's file")?;
        let child = Command::new(program)
            .arg("serve")
            .arg("--root")
            .arg(node.lib())
            .arg("--run-dir")
            .arg(node.run())
            .args(["--cgroup-parent", &self.cgroup_parent])
            .args(["--insecure-registry", &self.subnet])
            .args(&self.daemon_args)
            .spawn()
            .context("cannot start the daemon")?;
        Ok(Pid::from_child(&child))
    }
}

/// Reaps every child that ended; says how `daemon` did when it was among them.
fn reap(daemon: Option<Pid>) -> Option<String> {
    let mut daemon_ended = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if Some(pid) == daemon => {
                daemon_ended = how(status).or(daemon_ended);
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return daemon_ended,
        }
    }
}

fn how(status: WaitStatus) -> Option<String> {
    let code = status.exit_status().map(|code| format!("exit status {code}"));
    code.or_else(|| status.terminating_signal().map(|signal| format!("signal {signal}")))
}

/// The mounts of a machine: nothing flows back to the host, `/proc` and
/// `/sys` show this node's namespaces, `/run` is empty but for the daemon's
/// folder, which is also where the daemon is by default.
fn mounts(node: &NodeDir) -> Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("cannot make the mounts private")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", flags, None).context("cannot mount /proc")?;
    // A new /sys covers the cgroup hierarchies: take them along.
    let cgroups = open_tree(
        CWD,
        "/sys/fs/cgroup",
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )
    .context("cannot take the cgroup hierarchies along")?;
    mount("sysfs", "/sys", "sysfs", flags, None).context("cannot mount /sys")?;
    move_mount(cgroups, "", CWD, "/sys/fs/cgroup", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .context("cannot mount the cgroup hierarchies")?;
    run_directory(node)
}

fn run_directory(node: &NodeDir) -> Result<()> {
    // Some machines keep their list of name servers below /run.
    let resolvers = fs::canonicalize("/etc/resolv.conf").ok().filter(|p| p.starts_with("/run"));
    let resolvers = resolvers.and_then(|path| Some((fs::read(&path).ok()?, path)));
    // The node's own folder may lie below /run: reach it by descriptor.
    let own =
        open_tree(CWD, node.run(), OpenTreeFlags::OPEN_TREE_CLONE).context("no run folder")?;
    let whole = open_tree(CWD, node.path(), OpenTreeFlags::OPEN_TREE_CLONE)
        .context("the node's folder is gone")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", "/run", "tmpfs", flags, Some(c"mode=0755")).context("cannot mount /run")?;
    attach(&own, Path::new("/run/shoal"))?;
    if node.path().starts_with("/run") {
        attach(&whole, node.path())?;
        mount_bind("/run/shoal", node.run()).context("cannot bind the run folder")?;
    }
    if let Some((contents, path)) = resolvers {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn attach(tree: &impl rustix::fd::AsFd, place: &Path) -> Result<()> {
    let mounting = || format!("cannot mount {}", place.display());
    fs::create_dir_all(place).with_context(mounting)?;
    rustix::fs::chmod(place, Mode::from_raw_mode(0o755)).with_context(mounting)?;
    move_mount(tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).with_context(mounting)
}

/// Waits for a line on standard input: the cable is laid. An end without one
/// means that whoever booted us has died; a node nobody knows must not run.
fn wait_for_go() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot hear the word to go")?;
    anyhow::ensure!(line.trim() == "go", "the creation of this node was interrupted");
    Ok(())
}
