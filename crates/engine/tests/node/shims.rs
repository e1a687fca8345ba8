//! Shims that are stopped, or die, at a bad moment.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use shoal_engine::domain::{
    ContainerStatus, CreateExec, RemoveOptions, StartExec, StopOptions, WaitCondition,
};
use shoal_model::ContainerId;

use crate::bed::{Daemon, eventually, on_node, sleeper};
use crate::crash::{kill, shim_of};

/// Longer than the engine waits for an answer, and far shorter than for ever.
const SOON: Duration = Duration::from_secs(50);

fn stop(shim: i32) {
    kill_process(Pid::from_raw(shim).unwrap(), Signal::STOP).unwrap();
}

/// Whether a process is there and not only waited for: whoever inherits one may never ask.
fn is_there(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// A sleeper whose shim is stopped; the shim, and the program.
async fn stuck(daemon: &Daemon) -> (ContainerId, u32, u32) {
    let id = daemon.start_ready(sleeper()).await;
    let shim = shim_of(id.as_str());
    stop(shim);
    let pid = daemon.containers().inspect(id.as_str()).unwrap().state.pid;
    (id, shim as u32, pid)
}

async fn remove(daemon: &Daemon, id: &ContainerId) {
    let options = RemoveOptions { force: true, volumes: true };
    let removed = daemon.containers().remove(id.as_str(), options);
    tokio::time::timeout(SOON, removed).await.unwrap().unwrap();
    assert!(daemon.containers().inspect(id.as_str()).is_err());
}

#[test]
fn a_shim_that_does_not_answer_holds_nobody_up() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let containers = daemon.containers();
        let removed = async {
            let (id, shim, pid) = stuck(&daemon).await;
            remove(&daemon, &id).await;
            assert!(!is_there(shim) && !is_there(pid));
        };
        let stopped = async {
            let (id, shim, pid) = stuck(&daemon).await;
            let options = StopOptions { timeout_s: Some(-1), signal: None };
            let stopped = containers.stop(id.as_str(), options);
            tokio::time::timeout(SOON, stopped).await.unwrap().unwrap();
            let state = containers.inspect(id.as_str()).unwrap().state;
            assert_eq!((state.status, state.exit_code), (ContainerStatus::Exited, 137));
            // It can be started again when all of the last run is gone.
            containers.start(id.as_str()).await.unwrap();
            assert!(!is_there(shim) && !is_there(pid));
            remove(&daemon, &id).await;
        };
        let asked = async {
            let (id, ..) = stuck(&daemon).await;
            let request = CreateExec { cmd: vec!["true".into()], ..CreateExec::default() };
            let exec = daemon.engine.execs().create(id.as_str(), request).unwrap();
            let started = daemon.engine.execs().start(exec.as_str(), StartExec::default());
            let paused = containers.pause(id.as_str());
            let (started, paused) = tokio::join!(started, paused);
            assert!(started.unwrap_err().to_string().contains("no answer within"));
            assert!(paused.unwrap_err().to_string().contains("no answer within"));
            remove(&daemon, &id).await;
        };
        tokio::join!(removed, stopped, asked);
        daemon.close().await;
    });
}

#[test]
fn a_shim_of_an_earlier_daemon_that_does_not_answer_holds_nobody_up() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let (before, shim, pid) = stuck(&daemon).await;
        let after = daemon.start_ready(sleeper()).await;
        daemon.close().await;

        let daemon = bed.open().await;
        let state = daemon.containers().inspect(before.as_str()).unwrap().state;
        assert_eq!((state.status, state.exit_code), (ContainerStatus::Exited, 137));
        eventually("gone", async || !is_there(shim) && !is_there(pid)).await;
        remove(&daemon, &before).await;

        // It answered when it was adopted, and does not any more.
        let pid = daemon.containers().inspect(after.as_str()).unwrap().state.pid;
        let shim = shim_of(after.as_str());
        stop(shim);
        remove(&daemon, &after).await;
        eventually("gone", async || !is_there(shim as u32) && !is_there(pid)).await;
        daemon.close().await;
    });
}

#[test]
fn a_frozen_container_goes_with_its_shim() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start_ready(sleeper()).await;
        daemon.containers().pause(id.as_str()).await.unwrap();
        let gone = daemon.containers().wait(id.as_str(), WaitCondition::NextExit).unwrap();
        kill(shim_of(id.as_str()));
        assert_eq!(gone.done().await.exit_code, 137);
        // Nothing of it is in the way of its next run.
        daemon.containers().start(id.as_str()).await.unwrap();
        daemon.ready(id.as_str()).await;
        daemon.containers().pause(id.as_str()).await.unwrap();
        let pid = daemon.containers().inspect(id.as_str()).unwrap().state.pid;
        daemon.close().await;

        kill(shim_of(id.as_str()));
        let daemon = bed.open().await;
        assert_eq!(daemon.status(id.as_str()), ContainerStatus::Exited);
        eventually("gone", async || !is_there(pid)).await;
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}
