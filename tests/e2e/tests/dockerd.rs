//! A real Docker Engine joins a Shoal cluster as a worker.

use std::process::{Child, Stdio};

use shoal_e2e::{Cluster, Images, Node, Program, until};

/// A dockerd inside a node, beside that node's idle Shoal daemon.
struct Dockerd {
    child: Child,
    socket: String,
}

impl Dockerd {
    fn start(cluster: &Cluster, number: usize) -> Self {
        let dir = cluster.dir().join("dockerd");
        std::fs::create_dir(&dir).expect("a folder");
        let socket = format!("unix://{}", dir.join("docker.sock").display());
        let flag = |name: &str, file: &str| format!("--{name}={}", dir.join(file).display());
        let log = std::fs::File::create(dir.join("log")).expect("a file");
        let node = cluster.node(number).name.clone();
        let child = Program::new(shoal_e2e::shoal_binary())
            .args(["cluster", "--clusters"])
            .arg_path(&cluster.dir().join("clusters"))
            .args(["exec", cluster.name(), &node, "/usr/sbin/dockerd"])
            .args([flag("data-root", "data"), flag("exec-root", "exec"), flag("pidfile", "pid")])
            .args([format!("--host={socket}"), "--insecure-registry=10.89.0.0/16".to_owned()])
            .into_command()
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("dockerd is installed");
        let dockerd = Self { child, socket };
        until("dockerd to answer", || (dockerd.docker(&["version"]).code == 0).then_some(()));
        dockerd
    }

    fn docker(&self, args: &[&str]) -> shoal_e2e::Output {
        Program::new("docker").env("DOCKER_HOST", &self.socket).args(args).run()
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // It also ends with its node.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn state_on(manager: &Node, hostname: &str) -> Option<String> {
    let listed = manager.docker(&[
        "service",
        "ps",
        "s",
        "--filter",
        "desired-state=running",
        "--format",
        "{{.Node}} {{.CurrentState}}",
    ]);
    let line = listed.ok().lines().find(|line| line.starts_with(hostname))?.to_owned();
    line.split_whitespace().nth(1).map(str::to_owned)
}

#[test]
fn a_docker_engine_joins_works_and_is_drained() {
    let cluster = Cluster::apart(2);
    let manager = cluster.node(1);
    let init = manager.docker(&["swarm", "init", "--advertise-addr", &manager.address]);
    let join = init.ok().lines().find(|line| line.contains("swarm join")).expect("a command");
    let join: Vec<_> = join.split_whitespace().skip(1).collect();

    Images::busybox(manager);
    Images::registry(manager, 8003);
    manager.docker(&["tag", Images::BUSYBOX, "localhost:8003/busybox:1"]).ok();
    manager.docker(&["push", "localhost:8003/busybox:1"]).ok();

    let dockerd = Dockerd::start(&cluster, 2);
    assert_eq!(dockerd.docker(&join).ok(), "This node joined a swarm as a worker.");
    // The two daemons of the second node share its host name: only dockerd joined.
    let hostname = cluster.node(2).name.as_str();
    until("two nodes ready", || {
        let listed = manager.docker(&["node", "ls", "--format", "{{.Hostname}} {{.Status}}"]);
        listed.ok().contains(&format!("{hostname} Ready")).then_some(())
    });

    let image = format!("{}:8003/busybox:1", manager.address);
    manager
        .docker(&[
            "service",
            "create",
            "--detach",
            "--name",
            "s",
            "--replicas",
            "2",
            "--network",
            "host",
            &image,
            "sh",
            "-c",
            "trap 'exit 0' TERM; echo here is $(hostname); sleep 100000 & wait",
        ])
        .ok();
    until("a replica on dockerd", || (state_on(manager, hostname)? == "Running").then_some(()));
    let ps = dockerd.docker(&["ps", "--format", "{{.Names}}"]);
    assert!(ps.ok().starts_with("s."), "{}", ps.stdout);

    until("its log through the manager", || {
        let logs = manager.docker(&["service", "logs", "s"]);
        let said = |line: &str| line.contains(&format!("@{hostname}")) && line.contains("here is");
        logs.ok().lines().any(said).then_some(())
    });

    manager.docker(&["node", "update", "--availability", "drain", hostname]).ok();
    until("both replicas on the manager", || {
        let gone = state_on(manager, hostname).is_none();
        let listed = manager.docker(&["service", "ls", "--format", "{{.Replicas}}"]);
        (gone && listed.ok() == "2/2").then_some(())
    });
    until("dockerd to stop its own", || {
        dockerd.docker(&["ps", "-q"]).ok().is_empty().then_some(())
    });
    dockerd.docker(&["swarm", "leave"]).ok();
}
