//! `GET /info`.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use shoal_node::{ManagerPeer, SwarmInfo};

use super::super::body;
use super::super::error::{ApiError, Result};
use super::super::front::{About, App};
use super::super::swarm_spec::cluster::render_cluster;
use super::host::Host;

/// Everything about this node.
pub(super) async fn info(State(front): App) -> Result<Response> {
    let host = front.blocking(|_| Ok::<_, ApiError>(Host::read())).await?;
    let images = front.images.usage().images;
    let counts = front.engine.containers().counts();
    let mut document = render(&front.about, &host);
    document["Containers"] = json!(counts.running + counts.paused + counts.stopped);
    document["ContainersRunning"] = json!(counts.running);
    document["ContainersPaused"] = json!(counts.paused);
    document["ContainersStopped"] = json!(counts.stopped);
    document["Images"] = json!(images);
    document["SystemTime"] = json!(front.now().rfc3339_nano());
    document["Swarm"] = render_swarm(&front.node.info().await);
    Ok(body::ok(&document))
}

fn render(about: &About, host: &Host) -> Value {
    let mut document = json!({
        "ID": host.name,
        "Name": host.name,
        "ServerVersion": about.version,
        "DockerRootDir": about.root.display().to_string(),
        "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": null,
            "Log": ["json-file", "none"],
        },
        "OperatingSystem": host.os,
        "OSVersion": host.os_version,
        "OSType": "linux",
        "Architecture": host.machine,
        "KernelVersion": host.kernel,
        "NCPU": host.processors,
        "MemTotal": host.memory_bytes,
        "NFd": host.open_files,
        "NGoroutines": 0,
        "NEventsListener": 0,
        "Debug": about.debug,
        "LoggingDriver": "json-file",
        "Labels": about.labels,
        "LiveRestoreEnabled": true,
        "ExperimentalBuild": false,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": render_registries(&about.insecure_registries),
        "HttpProxy": "", "HttpsProxy": "", "NoProxy": "",
        "GenericResources": null,
        "Warnings": null,
    });
    if let (Value::Object(document), Value::Object(runtime)) = (&mut document, render_runtime(host))
    {
        document.extend(runtime);
    }
    document
}

/// What containers can have here.
fn render_runtime(host: &Host) -> Value {
    json!({
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": host.cgroup_version,
        "Runtimes": { "shoal": { "path": "shoal-shim" } },
        "DefaultRuntime": "shoal",
        "InitBinary": "",
        "Isolation": "",
        "ContainerdCommit": { "ID": "" },
        "RuncCommit": { "ID": "" },
        "InitCommit": { "ID": "" },
        "SecurityOptions": ["name=seccomp,profile=builtin"],
        "MemoryLimit": true,
        "SwapLimit": true,
        "CpuCfsPeriod": true,
        "CpuCfsQuota": true,
        "CPUShares": true,
        "CPUSet": true,
        "PidsLimit": true,
        "OomKillDisable": false,
        "IPv4Forwarding": true,
        "BridgeNfIptables": true,
        "BridgeNfIp6tables": true,
    })
}

fn render_registries(insecure: &[String]) -> Value {
    let (ranges, hosts): (Vec<&String>, Vec<&String>) =
        insecure.iter().partition(|registry| registry.contains('/'));
    let hub = json!({ "Name": "docker.io", "Mirrors": [], "Secure": true, "Official": true });
    let mut indexes = json!({ "docker.io": hub });
    for host in hosts {
        indexes[host.as_str()] =
            json!({ "Name": host, "Mirrors": [], "Secure": false, "Official": false });
    }
    let ranges: Vec<&str> =
        std::iter::once("127.0.0.0/8").chain(ranges.into_iter().map(String::as_str)).collect();
    json!({ "InsecureRegistryCIDRs": ranges, "IndexConfigs": indexes, "Mirrors": [] })
}

fn render_swarm(info: &SwarmInfo) -> Value {
    let SwarmInfo {
        state,
        node_id,
        node_addr,
        control_available,
        error,
        remote_managers,
        managers,
        nodes,
        cluster,
    } = info;
    let peers: Vec<Value> = remote_managers.iter().map(render_peer).collect();
    let mut document = json!({
        "NodeID": node_id.as_ref().map(|id| id.as_str()).unwrap_or_default(),
        "NodeAddr": node_addr,
        "LocalNodeState": state.as_str(),
        "ControlAvailable": control_available,
        "Error": error,
        "RemoteManagers": if peers.is_empty() { Value::Null } else { Value::Array(peers) },
    });
    if *control_available {
        document["Nodes"] = json!(nodes);
        document["Managers"] = json!(managers);
    }
    if let Some(cluster) = cluster {
        document["Cluster"] = render_cluster(cluster);
    }
    document
}

fn render_peer(peer: &ManagerPeer) -> Value {
    let ManagerPeer { node_id, addr } = peer;
    json!({ "NodeID": node_id, "Addr": addr })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_dockers_type() {
        let about = About {
            version: "1".into(),
            insecure_registries: vec!["10.0.0.0/8".into(), "x:5000".into()],
            ..About::default()
        };
        let mut shown = render(&about, &Host::read());
        shown["Swarm"] = render_swarm(&SwarmInfo::default());
        let typed: bollard_stubs::models::SystemInfo =
            serde_json::from_value(shown).expect("Docker's own type");
        let registries = typed.registry_config.expect("registries");
        assert_eq!(
            registries.insecure_registry_cidrs.expect("ranges"),
            ["127.0.0.0/8", "10.0.0.0/8"]
        );
        assert!(registries.index_configs.expect("hosts").contains_key("x:5000"));
    }
}
