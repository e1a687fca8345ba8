//! The works that are measured.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::{Value, json};

use crate::peer::{Peer, REGISTRY, until};

const IMAGE: &str = "localhost:5000/bench:1";
const SERVICE: &str = "bench";
/// Blocks without a second process and heeds SIGTERM.
const WAITER: &str = r#"trap "exit 0" TERM; mkfifo /tmp/f; read x < /tmp/f"#;

/// Loads a busybox, pushes it to the peer's registry and gives its name with
/// its digest: services then need no registry to start.
pub(crate) async fn load_image(peer: &Peer) -> Result<String> {
    let path = format!("/images/create?fromSrc=-&repo={REGISTRY}/bench&tag=1");
    peer.api.upload(&path, busybox()?).await.context("cannot import the image")?;
    let push = format!("/images/{REGISTRY}/bench/push?tag=1");
    until("the registry", async || {
        Ok(peer.api.call(Method::POST, &push, &Value::Null).await.is_ok())
    })
    .await?;
    let image = peer.api.call(Method::GET, &format!("/images/{IMAGE}/json"), &Value::Null).await?;
    let digest = image["RepoDigests"][0].as_str().context("the image has no digest")?;
    Ok(digest.to_owned())
}

fn busybox() -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for folder in ["bin", "tmp", "etc", "proc", "sys", "dev"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(if folder == "tmp" { 0o1777 } else { 0o755 });
        header.set_size(0);
        tar.append_data(&mut header, format!("{folder}/"), std::io::empty())?;
    }
    let program = std::fs::read("/bin/busybox").context("busybox-static is not installed")?;
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    tar.append_data(&mut header, "bin/busybox", program.as_slice())?;
    for applet in ["sh", "true", "mkfifo", "sleep"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox")?;
    }
    Ok(tar.into_inner()?)
}

/// Create, start, wait, delete: the median.
pub(crate) async fn run_rm(peer: &Peer, network: &str, rounds: usize) -> Result<Duration> {
    let body = json!({
        "Image": IMAGE, "Cmd": ["/bin/true"], "HostConfig": { "NetworkMode": network },
    });
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        let created = peer.api.call(Method::POST, "/containers/create", &body).await?;
        let id = created["Id"].as_str().context("no container")?;
        let path = format!("/containers/{id}");
        peer.api.call(Method::POST, &format!("{path}/start"), &Value::Null).await?;
        let ended = peer.api.call(Method::POST, &format!("{path}/wait"), &Value::Null).await?;
        anyhow::ensure!(ended["StatusCode"] == 0, "true failed: {ended}");
        peer.api.call(Method::DELETE, &path, &Value::Null).await?;
        times.push(start.elapsed());
    }
    Ok(median(times))
}

/// Exec create, start, read to the end: the median.
pub(crate) async fn exec(peer: &Peer, rounds: usize) -> Result<Duration> {
    let body = json!({
        "Image": IMAGE, "Cmd": ["/bin/sh", "-c", WAITER], "HostConfig": { "NetworkMode": "host" },
    });
    let created = peer.api.call(Method::POST, "/containers/create", &body).await?;
    let container = created["Id"].as_str().context("no container")?;
    peer.api.call(Method::POST, &format!("/containers/{container}/start"), &Value::Null).await?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        let body = json!({ "AttachStdout": true, "Cmd": ["/bin/true"] });
        let path = format!("/containers/{container}/exec");
        let exec = peer.api.call(Method::POST, &path, &body).await?;
        let id = exec["Id"].as_str().context("no exec")?;
        peer.api.drain(&format!("/exec/{id}/start"), &json!({ "Detach": false })).await?;
        times.push(start.elapsed());
    }
    peer.api
        .call(Method::DELETE, &format!("/containers/{container}?force=1"), &Value::Null)
        .await?;
    Ok(median(times))
}

/// A service of 0 replicas on the host's network.
pub(crate) async fn create_service(peer: &Peer, image: &str) -> Result<()> {
    let body = json!({
        "Name": SERVICE,
        "Mode": { "Replicated": { "Replicas": 0 } },
        "TaskTemplate": {
            "ContainerSpec": { "Image": image, "Command": ["/bin/sh", "-c", WAITER] },
            "Networks": [{ "Target": "host" }],
        },
    });
    peer.api.call(Method::POST, "/services/create", &body).await.map(drop)
}

/// Scales and waits until that many run, and no other container is there.
pub(crate) async fn scale(peer: &Peer, replicas: u64) -> Result<Duration> {
    let start = set_replicas(peer, replicas).await?;
    until(&format!("{replicas} replicas on {}", peer.name), async || {
        // Cheap on both: what runs, and what is there at all.
        let info = peer.api.call(Method::GET, "/info", &Value::Null).await?;
        let running = info["ContainersRunning"] == json!(replicas);
        Ok(running && (replicas > 0 || info["Containers"] == 0) && reported(peer, replicas).await?)
    })
    .await?;
    Ok(start.elapsed())
}

/// Asks for that many; gives when the request that was taken left. A dockerd
/// still busy with the last change refuses one with "out of sequence".
async fn set_replicas(peer: &Peer, replicas: u64) -> Result<Instant> {
    let path = format!("/services/{SERVICE}");
    loop {
        let service = peer.api.call(Method::GET, &path, &Value::Null).await?;
        let mut spec = service["Spec"].clone();
        spec["Mode"]["Replicated"]["Replicas"] = json!(replicas);
        let version = &service["Version"]["Index"];
        let start = Instant::now();
        let update = format!("{path}/update?version={version}");
        match peer.api.call(Method::POST, &update, &spec).await {
            Ok(_) => return Ok(start),
            Err(error) if error.to_string().contains("out of sequence") => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the manager knows it, too.
async fn reported(peer: &Peer, replicas: u64) -> Result<bool> {
    let filter =
        format!(r#"/tasks?filters={{"service":["{SERVICE}"],"desired-state":["running"]}}"#);
    let tasks = peer.api.call(Method::GET, &encode(&filter), &Value::Null).await?;
    let tasks = tasks.as_array().context("the tasks are no list")?;
    let running = tasks.iter().filter(|task| task["Status"]["State"] == "running").count();
    Ok(running as u64 == replicas)
}

/// Removes the service.
pub(crate) async fn remove_service(peer: &Peer) -> Result<()> {
    peer.api.call(Method::DELETE, &format!("/services/{SERVICE}"), &Value::Null).await.map(drop)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The characters of JSON a URL cannot carry.
fn encode(path: &str) -> String {
    path.replace('{', "%7B")
        .replace('}', "%7D")
        .replace('"', "%22")
        .replace('[', "%5B")
        .replace(']', "%5D")
}
