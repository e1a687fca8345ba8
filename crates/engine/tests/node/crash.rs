//! The daemon dies with SIGKILL: what ran still runs, and is found again.
//!
//! A child process of this test plays the daemon; it is this very program with a
//! variable set, in the network namespace of the test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use shoal_engine::domain::{
    AttachOptions, ContainerStatus, HostConfig, ListFilter, LogOptions, NetworkMode, PortBinding,
    RestartPolicy, StopOptions,
};

use shoal_model::{Classify, Kind};

use crate::bed::{
    Bed, Daemon, SHIM, eventually, on_node, open, outputs, read_all, shell, shim_path, shims,
    sleeper,
};

/// Tells the child which play it is in.
const PLAY: &str = "SHOAL_ENGINE_TEST_PLAY";
const DIR: &str = "SHOAL_ENGINE_TEST_DIR";
const CGROUP: &str = "SHOAL_ENGINE_TEST_CGROUP";

/// The child's part; as a test of its own it has nothing to do.
#[test]
fn child() {
    let Ok(play) = std::env::var(PLAY) else { return };
    let dir = PathBuf::from(std::env::var(DIR).unwrap());
    let cgroup = std::env::var(CGROUP).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let daemon = open(&dir, &cgroup, None).await;
        match play.as_str() {
            "run" => run(&daemon).await,
            "flood" => flood(daemon).await,
            other => panic!("no play {other}"),
        }
        println!("READY");
        std::future::pending::<()>().await;
    });
}

/// Starts a daemon that plays `play`, waits until it says so, and kills it.
async fn play_and_kill(bed: &Arc<Bed>, play: &str, ready: &str) {
    // The child of this thread is in this thread's network namespace.
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture"])
        .env(PLAY, play)
        .env(DIR, bed.dir())
        .env(CGROUP, bed.cgroup_parent())
        .env(SHIM, shim_path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let ready = ready.to_owned();
    let told = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(output).lines();
        (lines.any(|line| line.unwrap().contains(&ready)), lines)
    });
    // Kept open to the end: a child that cannot write would die by itself.
    let (told, _lines) = told.await.unwrap();
    assert!(told, "the daemon's child did not get ready");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn named(name: &str, line: &str, host: HostConfig) -> shoal_engine::domain::CreateContainer {
    let mut request = shell(line);
    request.name = Some(name.into());
    request.host = HostConfig { network_mode: NetworkMode::Host, ..host };
    request
}

async fn run(daemon: &Daemon) {
    let line = "echo before; while [ ! -e /tmp/go ]; do sleep 0.01; done; echo after; \
                while [ ! -e /tmp/end ]; do sleep 0.01; done; exit 5";
    daemon.start(named("runs", line, HostConfig::default())).await;
    daemon
        .start(named(
            "ends",
            "while [ ! -e /tmp/x ]; do sleep 0.01; done; exit 6",
            HostConfig::default(),
        ))
        .await;
    daemon.start(named("shim-dies", "sleep 1000", HostConfig::default())).await;
    let again = HostConfig { restart_policy: RestartPolicy::Always, ..HostConfig::default() };
    daemon.start(named("again", "sleep 1000", again)).await;
    let once = HostConfig { auto_remove: true, ..HostConfig::default() };
    daemon.start(named("once", "while [ ! -e /tmp/x ]; do sleep 0.01; done", once)).await;
    daemon.start(named("paused", "sleep 1000", HostConfig::default())).await;
    daemon.containers().pause("paused").await.unwrap();
    let mut request = named("bridged", "sleep 1000", HostConfig::default());
    request.host.network_mode = NetworkMode::Bridge;
    let binding = PortBinding { host_ip: None, host_port: "18081".parse().unwrap() };
    request.host.port_bindings.insert("80/tcp".parse().unwrap(), vec![binding]);
    daemon.start(request).await;
    let mut step = named("step", "sleep 1000", HostConfig::default());
    step.hidden = true;
    daemon.start(step).await;
    daemon.containers().create(named("made", "true", HostConfig::default())).await.unwrap();
    daemon.start(named("done", "exit 4", HostConfig::default())).await;
    eventually("ended", async || daemon.status("done") == ContainerStatus::Exited).await;
}

/// The shim of a container.
pub(crate) fn shim_of(id: &str) -> i32 {
    let found = shims(id);
    assert_eq!(found.len(), 1, "{id}");
    found[0]
}

pub(crate) fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Names by what is on disk: for the time without a daemon.
fn id_of(bed: &Bed, name: &str) -> String {
    for entry in std::fs::read_dir(bed.root().join("containers")).unwrap() {
        let path = entry.unwrap().path();
        let record = std::fs::read_to_string(path.join("container.json")).unwrap();
        if record.contains(&format!("\"name\":\"{name}\"")) {
            return path.file_name().unwrap().to_str().unwrap().into();
        }
    }
    panic!("no container {name}");
}

fn touch_inside(bed: &Bed, name: &str, path: &str) {
    let upper = bed.root().join("containers").join(id_of(bed, name));
    let state = std::fs::read_to_string(upper.join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    std::fs::write(format!("/proc/{}/root{path}", state["pid"]), "").unwrap();
}

#[test]
fn everything_is_found_again_after_a_kill() {
    on_node(async |bed| {
        play_and_kill(&bed, "run", "READY").await;
        // While nobody is there: two end by themselves, and one loses its shim.
        touch_inside(&bed, "ends", "/tmp/x");
        touch_inside(&bed, "once", "/tmp/x");
        touch_inside(&bed, "runs", "/tmp/go");
        for name in ["ends", "once"] {
            let bundle = bed.run().join("containers").join(id_of(&bed, name));
            eventually("exit told on disk", async || bundle.join("exit.json").exists()).await;
            eventually("shim gone", async || !bundle.join("shim.sock").exists()).await;
        }
        let dying = id_of(&bed, "shim-dies");
        kill(shim_of(&dying));

        let daemon = bed.open().await;
        let containers = daemon.containers();
        assert_eq!(daemon.status("runs"), ContainerStatus::Running);
        assert_eq!(daemon.status("again"), ContainerStatus::Running);
        assert_eq!(daemon.status("paused"), ContainerStatus::Paused);
        assert_eq!(daemon.status("made"), ContainerStatus::Created);
        assert!(containers.inspect("step").is_err(), "a step of a dead build is left");
        let exit = |name: &str| {
            let state = containers.inspect(name).unwrap().state;
            (state.status, state.exit_code)
        };
        assert_eq!(exit("ends"), (ContainerStatus::Exited, 6));
        assert_eq!(exit("done"), (ContainerStatus::Exited, 4));
        assert_eq!(exit("shim-dies"), (ContainerStatus::Exited, 137));
        eventually("removed", async || containers.inspect("once").is_err()).await;

        // What runs is as much in hand as before.
        let follow = LogOptions { follow: true, ..LogOptions::default() };
        let mut log = containers.logs("runs", follow).await.unwrap();
        assert_eq!(&log.next().await.unwrap().data[..], b"before\n");
        assert_eq!(&log.next().await.unwrap().data[..], b"after\n");
        let options = AttachOptions { stdout: true, ..outputs() };
        let attached = containers.attach("runs", options).await.unwrap();
        assert_eq!(daemon.exec("runs", &["touch", "/tmp/end"]).await.1, 0);
        assert_eq!(read_all(attached).await, "");
        assert_eq!(log.next().await, None);
        assert_eq!(exit("runs"), (ContainerStatus::Exited, 5));

        let pid = containers.inspect("again").unwrap().state.pid;
        kill(pid as i32);
        eventually("running again", async || {
            let state = containers.inspect("again").unwrap().state;
            state.status == ContainerStatus::Running && state.pid != pid
        })
        .await;

        // Its address and port are still its own.
        let bridged = containers.inspect("bridged").unwrap();
        assert!(bridged.networks["bridge"].ip_address.is_some());
        let mut taken = sleeper();
        taken.name = Some("taken".into());
        taken.host = bridged.host.clone();
        containers.create(taken).await.unwrap();
        let refused = containers.start("taken").await.unwrap_err().to_string();
        assert!(refused.ends_with("port is already allocated"), "{refused}");
        containers.stop("bridged", StopOptions { timeout_s: Some(0), signal: None }).await.unwrap();
        containers.start("taken").await.unwrap();

        containers.unpause("paused").await.unwrap();
        for one in containers.list(&ListFilter { all: true, ..Default::default() }).unwrap() {
            daemon.remove(one.id.as_str()).await;
        }
        daemon.close().await;
    });
}

#[test]
fn what_is_nothing_and_cannot_be_removed_holds_nobody_up() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        daemon.engine.volumes().create(Default::default()).await.unwrap();
        daemon.close().await;
        let places = [
            bed.root().join("containers"),
            bed.root().join("volumes"),
            bed.run().join("containers"),
        ];
        let mounts: Vec<PathBuf> = places
            .iter()
            .map(|place| {
                std::fs::write(place.join("stray"), "").unwrap();
                std::os::unix::fs::symlink("/etc", place.join("link")).unwrap();
                let busy = place.join("lost").join("busy");
                std::fs::create_dir_all(&busy).unwrap();
                // A mount cannot be removed.
                let none = rustix::mount::MountFlags::empty();
                rustix::mount::mount("tmpfs", &busy, "tmpfs", none, c"size=64k").unwrap();
                busy
            })
            .collect();
        let daemon = bed.open().await;
        assert_eq!(daemon.engine.volumes().list(&Default::default()).len(), 1);
        daemon.run(shell("true")).await;
        daemon.close().await;
        for (place, busy) in places.iter().zip(mounts) {
            assert!(!place.join("stray").exists() && busy.exists());
            rustix::mount::unmount(&busy, rustix::mount::UnmountFlags::empty()).unwrap();
            std::fs::remove_dir_all(place.join("lost")).unwrap();
        }
        assert!(std::path::Path::new("/etc/passwd").exists());
    });
}

#[test]
fn a_container_whose_record_cannot_be_read_runs_on() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start_ready(sleeper()).await;
        daemon.close().await;
        let record = bed.root().join("containers").join(id.as_str()).join("container.json");
        let text = std::fs::read(&record).unwrap();
        std::fs::write(&record, &text[..text.len() / 2]).unwrap();

        let daemon = bed.open().await;
        assert!(daemon.containers().inspect(id.as_str()).is_err());
        assert!(bed.run().join("containers").join(id.as_str()).exists());
        daemon.close().await;
        // Mended by hand.
        std::fs::write(&record, text).unwrap();
        let daemon = bed.open().await;
        assert_eq!(daemon.status(id.as_str()), ContainerStatus::Running);
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

fn change_state(bed: &Bed, id: &str, change: serde_json::Value) {
    let path = bed.root().join("containers").join(id).join("state.json");
    let mut state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (key, value) in change.as_object().unwrap() {
        state[key] = value.clone();
    }
    std::fs::write(path, state.to_string()).unwrap();
}

/// Between the start of the program and the note of it, the daemon was killed.
#[test]
fn a_start_that_was_not_noted_keeps_its_network_or_is_taken_back() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut request = sleeper();
        request.host.network_mode = NetworkMode::Bridge;
        let kept = daemon.start_ready(request.clone()).await;
        let lost = daemon.start_ready(request).await;
        let address =
            daemon.containers().inspect(kept.as_str()).unwrap().networks["bridge"].ip_address;
        assert!(address.is_some());
        daemon.close().await;
        // As it was written after the run before.
        let before = serde_json::json!({
            "phase": "Exited",
            "pid": 0,
            "sandbox": null,
            "stopped_by_hand": true,
            "restart_count": 3,
            "exit_code": 4,
        });
        change_state(&bed, kept.as_str(), before);
        let before = serde_json::json!({
            "phase": "Created", "pid": 0, "started_at": null, "sandbox": null,
        });
        change_state(&bed, lost.as_str(), before);
        let bundle = bed.run().join("containers").join(lost.as_str());
        std::fs::remove_file(bundle.join("start.json")).unwrap();

        let daemon = bed.open().await;
        let containers = daemon.containers();
        let view = containers.inspect(kept.as_str()).unwrap();
        assert_eq!(view.state.status, ContainerStatus::Running);
        assert_eq!(view.networks["bridge"].ip_address, address);
        assert_eq!((view.state.exit_code, view.restart_count), (0, 0));
        assert_eq!(daemon.status(lost.as_str()), ContainerStatus::Created);
        containers.start(lost.as_str()).await.unwrap();
        let other = containers.inspect(lost.as_str()).unwrap().networks["bridge"].ip_address;
        assert!(other.is_some() && other != address);
        for id in [&kept, &lost] {
            daemon.remove(id.as_str()).await;
        }
        daemon.close().await;
    });
}

async fn flood(daemon: Daemon) {
    let daemon = Arc::new(daemon);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let daemon = daemon.clone();
        let mut request = sleeper();
        if number % 2 == 0 {
            request.host.network_mode = NetworkMode::Bridge;
        }
        tasks.spawn(async move {
            daemon.start(request).await;
        });
    }
    for started in 1.. {
        if tasks.join_next().await.is_none() {
            break;
        }
        println!("STARTED {started}.");
    }
}

#[test]
fn a_kill_while_a_hundred_start_leaves_each_running_or_not_started() {
    on_node(async |bed| {
        play_and_kill(&bed, "flood", "STARTED 20.").await;
        let daemon = bed.open().await;
        let all =
            daemon.containers().list(&ListFilter { all: true, ..Default::default() }).unwrap();
        let running: Vec<_> =
            all.iter().filter(|one| one.status == ContainerStatus::Running).collect();
        assert!(running.len() >= 20, "{} run", running.len());
        for one in &all {
            let status = one.status;
            assert!(
                matches!(status, ContainerStatus::Running | ContainerStatus::Created),
                "{status:?}"
            );
        }
        // Also one whose start was not yet told has its place in its network.
        for one in &running {
            let view = daemon.containers().inspect(one.id.as_str()).unwrap();
            for (network, endpoint) in &view.networks {
                let address = endpoint.ip_address;
                assert_eq!(address.is_some(), network == "bridge", "{network}: {address:?}");
            }
        }
        // Each is in hand: what runs answers, what does not can be started.
        let (output, _) = daemon.exec(running[0].id.as_str(), &["echo", "here"]).await;
        assert_eq!(output, "here\n");
        if let Some(made) = all.iter().find(|one| one.status == ContainerStatus::Created) {
            daemon.containers().start(made.id.as_str()).await.unwrap();
        }
        futures_util::future::join_all(all.iter().map(|one| daemon.remove(one.id.as_str()))).await;
        daemon.close().await;
    });
}

#[test]
fn a_daemon_that_leaves_in_order_leaves_its_containers_running() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start_ready(sleeper()).await;
        let pid = daemon.containers().inspect(id.as_str()).unwrap().state.pid;
        // A stop that would wait for ever does not hold it up.
        let stubborn = daemon.start_ready(shell("trap '' TERM; echo ready; sleep 1000")).await;
        let containers = daemon.containers().clone();
        let name = stubborn.to_string();
        let stopping = tokio::spawn(async move {
            let options = StopOptions { timeout_s: Some(-1), signal: None };
            containers.stop(&name, options).await
        });
        let mut events = daemon.engine.events().subscribe(Some(Default::default()));
        while events.next().await.unwrap().action != "kill" {}
        daemon.close().await;
        assert_eq!(stopping.await.unwrap().unwrap_err().kind(), Kind::Unavailable);
        let daemon = bed.open().await;
        assert_eq!(daemon.status(stubborn.as_str()), ContainerStatus::Running);
        daemon.remove(stubborn.as_str()).await;
        let state = daemon.containers().inspect(id.as_str()).unwrap().state;
        assert_eq!((state.status, state.pid), (ContainerStatus::Running, pid));
        daemon.containers().stop(id.as_str(), StopOptions::default()).await.unwrap();
        assert_eq!(daemon.containers().inspect(id.as_str()).unwrap().state.exit_code, 0);
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}
