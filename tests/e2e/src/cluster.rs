//! A local cluster for one test, removed at its end.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Output, Program, logs, shoal_binary};

/// Several nodes, each a little machine.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    nodes: Vec<Node>,
    dir: TempDir,
    expected: Vec<String>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its host name.
    pub name: String,
    /// Its address on the cluster's bridge.
    pub address: String,
    /// Where its daemon answers.
    pub docker_host: String,
    docker_config: PathBuf,
}

impl Cluster {
    /// `nodes` machines joined to one swarm.
    pub fn swarm(nodes: u8) -> Self {
        Self::create(nodes, &[], &[])
    }

    /// `nodes` machines on their own.
    pub fn apart(nodes: u8) -> Self {
        Self::create(nodes, &["--no-swarm"], &[])
    }

    /// With further flags of `shoal cluster create` and of the daemons.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn create(nodes: u8, flags: &[&str], daemon: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{}x{number}", std::process::id());
        let dir = TempDir::with_prefix("shoal-e2e-").expect("a temporary folder");
        let mut cluster = Self { name, nodes: Vec::new(), dir, expected: Vec::new() };
        let count = nodes.to_string();
        let name = cluster.name.clone();
        let mut args = vec!["create", &name, "--nodes", &count];
        args.extend(flags);
        args.push("--");
        args.extend(daemon);
        let output = cluster.shoal_cluster(&args);
        cluster.nodes = output.ok().lines().map(|line| cluster.read_node(line)).collect();
        cluster
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Node `number`, counted from 1.
    ///
    /// # Panics
    /// When there is none.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A folder for the test's own files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The docker CLI on the first node.
    pub fn docker(&self, args: &[&str]) -> Output {
        self.node(1).docker(args)
    }

    /// `shoal cluster …` for these test clusters.
    pub fn shoal_cluster(&self, args: &[&str]) -> Output {
        Program::new(shoal_binary())
            .args(["cluster", "--clusters"])
            .arg_path(&self.dir.path().join("clusters"))
            .args(args)
            .run()
    }

    /// Stops a node as a power failure would.
    pub fn stop(&self, number: usize) {
        self.shoal_cluster(&["stop", &self.name, &self.node(number).name]).ok();
    }

    /// Boots it again.
    pub fn start(&self, number: usize) {
        self.shoal_cluster(&["start", &self.name, &self.node(number).name]).ok();
    }

    /// A command inside a node.
    pub fn inside(&self, number: usize, command: &[&str]) -> Output {
        let name = self.node(number).name.clone();
        self.shoal_cluster(&[&["exec", &self.name, &name][..], command].concat())
    }

    /// Kills a node's daemon with SIGKILL; its init starts it again. Returns
    /// when the new one answers.
    pub fn kill_daemon(&self, number: usize) {
        let pid = self.daemon_pid(number).expect("a daemon runs");
        self.inside(number, &["kill", "-9", &pid]).ok();
        crate::until("another daemon", || {
            let new = self.daemon_pid(number)?;
            let answers = self.node(number).docker(&["version"]).code == 0;
            (new != pid && answers).then_some(())
        });
    }

    /// The daemon's process id within its node.
    pub fn daemon_pid(&self, number: usize) -> Option<String> {
        let path = self.node_dir(number).join("run/shoal.pid");
        std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    }

    /// A node's folder: `lib`, `run`, `node.log`.
    pub fn node_dir(&self, number: usize) -> PathBuf {
        self.dir.path().join("clusters").join(&self.name).join(&self.node(number).name)
    }

    /// What a node's daemon has logged.
    pub fn log(&self, number: usize) -> String {
        std::fs::read_to_string(self.node_dir(number).join("node.log")).unwrap_or_default()
    }

    /// Lines at WARN or ERROR with this text are part of the test.
    pub fn expect_in_log(&mut self, text: &str) {
        self.expected.push(text.to_owned());
    }

    fn read_node(&self, line: &str) -> Node {
        let words: Vec<_> = line.split('\t').collect();
        let [name, address, docker_host] = words[..] else { panic!("no node: {line}") };
        Node {
            name: name.to_owned(),
            address: address.to_owned(),
            docker_host: docker_host.to_owned(),
            docker_config: self.dir.path().join("docker"),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let found: Vec<String> = (1..=self.nodes.len())
            .flat_map(|number| {
                let log = self.log(number);
                let lines = logs::unexpected(&log, &self.expected);
                lines
                    .iter()
                    .map(|line| format!("{}: {line}", self.node(number).name))
                    .collect::<Vec<_>>()
            })
            .collect();
        if std::thread::panicking() {
            for number in 1..=self.nodes.len() {
                let log = self.log(number);
                let tail: Vec<_> = log.lines().rev().take(40).collect();
                let tail: Vec<_> = tail.into_iter().rev().collect();
                #[expect(clippy::print_stderr, reason = "a failed test shows its daemons' logs")]
                {
                    eprintln!("--- log of {}\n{}", self.node(number).name, tail.join("\n"));
                }
            }
        }
        let removed = self.shoal_cluster(&["rm", &self.name]);
        if !std::thread::panicking() {
            removed.ok();
            assert!(found.is_empty(), "unexpected in the logs:\n{}", found.join("\n"));
        }
    }
}

impl Node {
    /// The docker CLI on this node.
    pub fn docker(&self, args: &[&str]) -> Output {
        self.docker_program().args(args).run()
    }

    /// The same, not yet running.
    pub fn docker_program(&self) -> Program {
        self.client("docker")
    }

    /// The shoal command line on this node.
    pub fn shoal(&self, args: &[&str]) -> Output {
        self.client(shoal_binary()).args(args).run()
    }

    /// A JSON document the docker CLI prints, such as of `inspect`.
    ///
    /// # Panics
    /// When the command fails or prints something else.
    pub fn docker_json(&self, args: &[&str]) -> Value {
        let output = self.docker(args);
        serde_json::from_str(output.ok())
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", output.line, output.stdout))
    }

    fn client(&self, program: impl AsRef<std::ffi::OsStr>) -> Program {
        Program::new(program)
            .env("DOCKER_HOST", &self.docker_host)
            .env("DOCKER_CONFIG", &self.docker_config)
            // The CLI then asks the classic builder.
            .env("DOCKER_BUILDKIT", "0")
    }
}
