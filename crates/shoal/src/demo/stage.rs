//! The stage of the demo: a local cluster and its commands.

use std::{
    cell::Cell,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::client::{Address, Client};

/// Addresses of the stage's nodes and how to reach the first.
pub(super) struct Stage {
    name: String,
    nodes: Vec<Node>,
    client: Client,
    created: Duration,
    ours: Cell<bool>,
}

/// A node as `shoal cluster create` prints it.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) docker_host: String,
}

impl Stage {
    /// Creates the cluster.
    pub(super) fn build(nodes: u8) -> Result<Self> {
        let name = format!("demo{}", std::process::id());
        let start = Instant::now();
        let count = nodes.to_string();
        let text = run(&["cluster", "create", &name, "--nodes", &count], None)?;
        let created = start.elapsed();
        let nodes: Vec<Node> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split('\t').map(str::to_owned);
                Some(Node {
                    name: words.next()?,
                    address: words.next()?,
                    docker_host: words.next()?,
                })
            })
            .collect();
        let first = nodes.first().context("the cluster has no nodes")?;
        let client = Client::new(Address::parse(&first.docker_host, None)?);
        Ok(Self { name, client, nodes, created, ours: Cell::new(true) })
    }

    /// The cluster's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The nodes, the manager first.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The manager's address as clients are told it.
    pub(super) fn docker_host(&self) -> &str {
        &self.nodes[0].docker_host
    }

    /// The manager's API.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// How long the creation took.
    pub(super) fn created(&self) -> Duration {
        self.created
    }

    /// Shows and runs `shoal …` against the manager; gives what it printed.
    pub(super) fn shoal(&self, args: &[&str]) -> Result<String> {
        crate::print::talk(format_args!("$ shoal {}", shown(args)));
        run(args, Some(self.docker_host()))
    }

    /// Leaves the cluster standing.
    pub(super) fn keep(&self) {
        self.ours.set(false);
    }

    /// Removes the cluster and sees to it that nothing of it is left.
    pub(super) fn remove(self) -> Result<()> {
        self.ours.set(false);
        run(&["cluster", "rm", &self.name], None)?;
        self.check_nothing_left()
    }

    fn check_nothing_left(&self) -> Result<()> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        ensure!(!mounts.contains(&self.name), "a mount of {} is left", self.name);
        let cgroups = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"];
        for root in cgroups {
            let cgroup = PathBuf::from(root).join(format!("shoal-cluster-{}", self.name));
            ensure!(!cgroup.exists(), "cgroup {} is left", cgroup.display());
        }
        let clusters = run(&["cluster", "ls"], None)?;
        ensure!(!clusters.contains(&self.name), "cluster {} is left", self.name);
        Ok(())
    }
}

/// An interrupted demo takes its cluster with it.
impl Drop for Stage {
    fn drop(&mut self) {
        if self.ours.get()
            && let Err(error) = run(&["cluster", "rm", &self.name], None)
        {
            crate::print::talk(format_args!("cannot remove the cluster: {error:#}"));
        }
    }
}

/// Runs this program with `args`; its talk goes where ours goes.
pub(super) fn run(args: &[&str], docker_host: Option<&str>) -> Result<String> {
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stderr(Stdio::inherit());
    if let Some(host) = docker_host {
        command.env("SHOAL_HOST", host);
    }
    let output = command.output().with_context(|| format!("cannot run shoal {}", shown(args)))?;
    if !output.status.success() {
        bail!("shoal {}: {}", shown(args), output.status);
    }
    String::from_utf8(output.stdout).context("shoal printed no text")
}

/// A command line as a person would type it.
fn shown(args: &[&str]) -> String {
    let quoted = args.iter().map(|arg| match arg.contains([' ', '"', '*']) {
        true => format!("'{arg}'"),
        false => (*arg).to_owned(),
    });
    quoted.collect::<Vec<_>>().join(" ")
}
