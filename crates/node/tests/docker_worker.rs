//! A real Docker Engine as a worker of our manager: it joins with the printed command, runs a
//! service, hands out its logs, survives our restart, is drained and leaves.
//!
//! Everything happens in a network namespace and a mount namespace of its own. The outer test
//! makes them and runs this binary again inside.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

use common::{TestNode, create, eventually, scale, service, until, until_running};
use futures_util::StreamExt;
use shoal_cluster::{Command, Outcome};
use shoal_model::SwarmNodeId;
use shoal_model::swarm::{
    Annotations, Availability, ConfigRef, ConfigSpec, ConfigTarget, FileTarget,
    NetworkAttachmentSpec, NodeState, SecretRef, SecretSpec, ServiceSpec, Shared, TaskState,
};
use shoal_node::{Control, InitRequest, LogOptions, LogSelector};

const INSIDE: &str = "SHOAL_TEST_INSIDE";
const ADDRESS: &str = "10.77.0.1";

/// Runs a program to its end; its output, or a panic with everything it said.
fn run(program: &str, args: &[&str]) -> String {
    let output = Process::new(program).args(args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {args:?}: {out}{err}");
    out.trim().to_owned()
}

fn installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
    })
}

/// A network namespace with one address, removed at the end.
struct Netns(String);

impl Netns {
    fn new() -> Self {
        let netns = Self(format!("shoal-dw-{}", std::process::id()));
        run("ip", &["netns", "add", &netns.0]);
        for command in [
            "link set lo up",
            "link add lan0 type veth peer name lan1",
            "link set lan1 up",
            &format!("addr add {ADDRESS}/24 dev lan0"),
            "link set lan0 up",
        ] {
            let mut args = vec!["-n", netns.0.as_str()];
            args.extend(command.split(' '));
            run("ip", &args);
        }
        netns
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Process::new("ip").args(["netns", "del", &self.0]).status();
    }
}

#[test]
fn a_docker_engine_works_for_this_manager() {
    let missing: Vec<_> =
        ["dockerd", "docker", "nsenter", "ip"].into_iter().filter(|name| !installed(name)).collect();
    if !missing.is_empty() {
        println!("SKIPPED a_docker_engine_works_for_this_manager: {missing:?} not installed");
        return;
    }
    let netns = Netns::new();
    let status = Process::new("nsenter")
        .arg(format!("--net=/run/netns/{}", netns.0))
        .args(["unshare", "--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "inside", "--ignored", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success());
}

/// A dockerd with everything of its own; ended, and its cgroups removed, at the end.
struct Dockerd {
    child: Child,
    dir: tempfile::TempDir,
    cgroup: String,
}

impl Dockerd {
    async fn start() -> Self {
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

    fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("sock").display())
    }

    fn docker(&self, args: &[&str]) -> String {
        let host = self.host();
        let mut all = vec!["-H", host.as_str()];
        all.extend(args);
        run("docker", &all)
    }

    /// An image of nothing but busybox.
    fn import_busybox(&self) {
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

    fn containers(&self) -> usize {
        self.docker(&["ps", "--quiet"]).lines().count()
    }

    fn log(&self) -> String {
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

#[test]
#[ignore = "runs inside the namespaces the other test makes"]
fn inside() {
    assert!(std::env::var_os(INSIDE).is_some(), "run the other test");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(the_whole_life());
}

async fn set_availability(control: &Control, node: &SwarmNodeId, availability: Availability) {
    let view = control.view().await.unwrap();
    let node = view.node(node).unwrap();
    let mut spec = node.spec.clone();
    spec.availability = availability;
    let update = Command::UpdateNode { node: node.id.clone(), version: node.meta.version, spec };
    control.execute(update).await.unwrap();
}

/// Prints its secret and its config, then ticks.
async fn ticker(control: &Control) -> ServiceSpec {
    let secret = SecretSpec { annotations: Annotations::named("key"), data: b"hush".to_vec() };
    let Outcome::Secret(secret_id) = control.execute(Command::CreateSecret(secret)).await.unwrap()
    else {
        panic!("no secret");
    };
    let config = ConfigSpec { annotations: Annotations::named("conf"), data: b"loud".to_vec() };
    let Outcome::Config(config_id) = control.execute(Command::CreateConfig(config)).await.unwrap()
    else {
        panic!("no config");
    };
    let file = |name: &str| FileTarget {
        name: name.to_owned(),
        uid: "0".to_owned(),
        gid: "0".to_owned(),
        mode: 0o444,
    };
    let mut spec = service("ticker", 1);
    let task = Shared::make_mut(&mut spec.task);
    task.networks = vec![NetworkAttachmentSpec { target: "host".to_owned(), ..Default::default() }];
    let container = &mut task.container;
    container.image = "ticker:1".to_owned();
    let script = "cat /run/secrets/key /conf; echo; trap 'exit 0' TERM; \
                  n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.1; done";
    container.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    container.secrets =
        vec![SecretRef { secret_id, secret_name: "key".to_owned(), file: file("key") }];
    container.configs = vec![ConfigRef {
        config_id,
        config_name: "conf".to_owned(),
        target: ConfigTarget::File(file("/conf")),
    }];
    spec
}

async fn the_whole_life() {
    let manager = TestNode::new("manager").await;
    // No address is given: the one there is, is found.
    manager.node.init(InitRequest::default()).await.unwrap();
    let own = manager.id().await;
    let info = manager.node.info().await;
    assert_eq!(info.node_addr, ADDRESS);
    let control = manager.control();
    set_availability(&control, &own, Availability::Drain).await;

    let dockerd = Dockerd::start().await;
    dockerd.import_busybox();

    // A wrong token first: Docker shows our words.
    let token = info.cluster.as_ref().unwrap().root_ca.join_tokens.worker.clone();
    let (head, _) = token.rsplit_once('-').unwrap();
    let wrong = format!("{head}-{}", "1".repeat(25));
    let addr = info.remote_managers[0].addr.clone();
    let refused = Process::new("docker")
        .args(["-H", &dockerd.host(), "swarm", "join", "--token", &wrong, &addr])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("A valid join token is necessary to join this cluster"), "{words}");

    let joined = dockerd.docker(&["swarm", "join", "--token", &token, &addr]);
    assert!(joined.contains("This node joined a swarm as a worker"), "{joined}");
    let is_worker = |node: &shoal_model::swarm::Node| node.id != own;
    until(&control, "the engine is ready", |view| {
        view.nodes().any(|node| is_worker(node) && node.status.state == NodeState::Ready)
    })
    .await;
    let view = control.view().await.unwrap();
    let engine = view.nodes().find(|node| is_worker(node)).unwrap().clone();
    assert_eq!(engine.status.addr, ADDRESS);
    let description = engine.description.as_ref().unwrap();
    assert!(description.engine.version.starts_with("20.10"), "{description:?}");
    assert!(description.resources.memory_bytes > 0);

    let spec = ticker(&control).await;
    let ticker = create(&control, spec.clone()).await;
    until_running(&control, &ticker, 1).await;
    assert_eq!(dockerd.containers(), 1);
    logs_arrive(&control, &ticker).await;

    scale(&control, &ticker, 3).await;
    until_running(&control, &ticker, 3).await;
    assert_eq!(dockerd.containers(), 3);
    scale(&control, &ticker, 2).await;
    eventually("one is gone", async || dockerd.containers() == 2).await;
    until_running(&control, &ticker, 2).await;

    // Our restart: the engine finds us again, its containers run on.
    let before = dockerd.docker(&["ps", "--quiet", "--no-trunc"]);
    let manager = manager.restart().await;
    let control = manager.control();
    until(&control, "the engine is back", |view| {
        view.node(&engine.id).is_some_and(|node| node.status.state == NodeState::Ready)
    })
    .await;
    until_running(&control, &ticker, 2).await;
    assert_eq!(dockerd.docker(&["ps", "--quiet", "--no-trunc"]), before);

    set_availability(&control, &engine.id, Availability::Drain).await;
    eventually("the drained engine is empty", async || dockerd.containers() == 0).await;
    until(&control, "the reason of waiting is shown", |view| {
        view.tasks_of_service(&ticker).any(|task| {
            task.status.state == TaskState::Pending && task.status.err.contains("no suitable node")
        })
    })
    .await;
    set_availability(&control, &engine.id, Availability::Active).await;
    until_running(&control, &ticker, 2).await;

    dockerd.docker(&["swarm", "leave"]);
    until(&control, "the engine is down", |view| {
        view.node(&engine.id).is_some_and(|node| node.status.state == NodeState::Down)
    })
    .await;
    control.execute(Command::RemoveNode { node: engine.id.clone(), force: false }).await.unwrap();
    let log = dockerd.log();
    assert!(!log.contains("panic"), "{log}");
    drop(dockerd);
    manager.node.shutdown().await;
}

async fn logs_arrive(control: &Control, ticker: &shoal_model::ServiceId) {
    let selector = LogSelector { services: vec![ticker.clone()], ..LogSelector::default() };
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let mut stream = control.logs(selector.clone(), follow).await.unwrap();
    let mut texts = Vec::new();
    while texts.len() < 12 {
        let next = tokio::time::timeout(Duration::from_secs(30), stream.next()).await.unwrap();
        let line = next.unwrap().unwrap();
        texts.push(String::from_utf8_lossy(&line.data).trim().to_owned());
    }
    assert_eq!(texts[0], "hushloud");
    assert_eq!(texts[1], "tick 1");
    assert_eq!(texts[10], "tick 10");
    drop(stream);
    let tail = LogOptions { tail: Some(3), ..LogOptions::default() };
    let stream = control.logs(selector, tail).await.unwrap();
    let lines: Vec<_> = tokio::time::timeout(Duration::from_secs(30), stream.collect()).await.unwrap();
    let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.data.starts_with(b"tick ")));
}
