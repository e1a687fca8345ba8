//! What a container costs in the engine, without HTTP: create, start, exit, remove; and
//! many at once, for several bounds on parallel starts. Prints a table; judges nothing.
//!
//! `cargo bench -p shoal-engine --bench starts` (as root).

#![allow(missing_docs, clippy::print_stdout, reason = "a program that prints a table")]
#![allow(dead_code, clippy::unwrap_used, reason = "the bed is shared with the tests")]

#[path = "../tests/node/bed.rs"]
mod bed;

use std::time::{Duration, Instant};

use shoal_engine::domain::{CreateContainer, NetworkMode, StopOptions, WaitCondition};

use shoal_model::ContainerId;

use bed::{Daemon, on_node, shell};

/// Runs of one container each.
const RUNS: usize = 60;
/// Containers of the promise about memory.
const MANY: usize = 500;
/// Containers started at once.
const CROWD: usize = 100;

fn main() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        println!(
            "{:10} {:>9} {:>9} {:>9} {:>9} {:>9}   median of {RUNS}, ms",
            "network", "create", "start", "exit", "remove", "all"
        );
        for mode in [NetworkMode::Host, NetworkMode::None, NetworkMode::Bridge] {
            let mut laps: Vec<[Duration; 5]> = Vec::new();
            for _ in 0..RUNS {
                laps.push(one(&daemon, mode.clone()).await);
            }
            print!("{:10}", mode.to_string());
            for column in 0..5 {
                let mut times: Vec<_> = laps.iter().map(|lap| lap[column]).collect();
                times.sort();
                print!(" {:9.2}", times[RUNS / 2].as_secs_f64() * 1e3);
            }
            println!();
        }
        daemon.close().await;
    });
    on_node(async |bed| {
        let daemon = bed.open().await;
        let before = resident_mib();
        let begin = Instant::now();
        let ids = up(&daemon, MANY).await;
        let took = begin.elapsed().as_millis();
        let after = resident_mib();
        println!("\n{MANY} at once: {took} ms; memory of the daemon {before} -> {after} MiB");
        let begin = Instant::now();
        futures_util::future::join_all(ids.iter().map(|id| daemon.remove(id.as_str()))).await;
        println!("all removed by force: {} ms", begin.elapsed().as_millis());
        daemon.close().await;
    });
    println!(
        "\n{:10} {:>9} {:>9} {:>9}   {CROWD} at once on the host's network, ms",
        "parallel", "start", "stop", "remove"
    );
    for parallel in [1, 2, 4, 8, 16, 32, 100] {
        on_node(async move |bed| {
            let daemon = bed.open_with(Some(parallel)).await;
            let [start, stop, remove] = crowd(&daemon).await;
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            println!("{parallel:10} {:9.0} {:9.0} {:9.0}", ms(start), ms(stop), ms(remove));
            daemon.close().await;
        });
    }
}

/// Resident memory of this process, which is the daemon here, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

async fn one(daemon: &Daemon, mode: NetworkMode) -> [Duration; 5] {
    let containers = daemon.containers();
    let mut request: CreateContainer = shell("");
    request.config.cmd = Some(vec!["true".into()]);
    request.host.network_mode = mode;
    request.host.auto_remove = true;
    let begin = Instant::now();
    let id = containers.create(request).await.unwrap().id;
    let created = Instant::now();
    let exit = containers.wait(id.as_str(), WaitCondition::NextExit).unwrap();
    let gone = containers.wait(id.as_str(), WaitCondition::Removed).unwrap();
    containers.start(id.as_str()).await.unwrap();
    let started = Instant::now();
    exit.done().await;
    let ended = Instant::now();
    gone.done().await;
    let removed = Instant::now();
    [created - begin, started - created, ended - started, removed - ended, removed - begin]
}

/// Starts so many containers at once.
async fn up(daemon: &Daemon, count: usize) -> Vec<ContainerId> {
    let starts = (0..count).map(|_| async {
        let request = shell("trap 'exit 0' TERM; sleep 1000 & wait");
        let id = daemon.containers().create(request).await.unwrap().id;
        daemon.containers().start(id.as_str()).await.unwrap();
        id
    });
    futures_util::future::join_all(starts).await
}

async fn crowd(daemon: &Daemon) -> [Duration; 3] {
    let containers = daemon.containers();
    let begin = Instant::now();
    let ids = up(daemon, CROWD).await;
    let started = Instant::now();
    // Each heeds the signal once its shell is there.
    for id in &ids {
        daemon.exec(id.as_str(), &["true"]).await;
    }
    let stopping = Instant::now();
    let stops = ids.iter().map(|id| containers.stop(id.as_str(), StopOptions::default()));
    for stopped in futures_util::future::join_all(stops).await {
        stopped.unwrap();
    }
    let stopped = Instant::now();
    futures_util::future::join_all(ids.iter().map(|id| daemon.remove(id.as_str()))).await;
    let removed = Instant::now();
    [started - begin, stopped - stopping, removed - stopped]
}
