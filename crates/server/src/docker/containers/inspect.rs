//! `GET /containers/{id}/json`.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};
use shoal_engine::domain::{
    ContainerState, ContainerStatus, ContainerView, DiskUse, EndpointView, HealthView,
};
use shoal_model::Timestamp;

use super::super::body;
use super::super::error::Result;
use super::super::front::App;
use super::super::query::Query;
use super::{config, host_view, mount, network};

/// Everything about one container.
pub(crate) async fn inspect(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let containers = front.engine.containers();
    let view = containers.inspect(&id)?;
    let mut document = render(&view);
    if query.flag("size") {
        let DiskUse { written_bytes, total_bytes } = containers.disk_use(&id).await?;
        document["SizeRw"] = json!(written_bytes);
        document["SizeRootFs"] = json!(total_bytes);
    }
    Ok(body::ok(&document))
}

fn render(view: &ContainerView) -> Value {
    let path = |path: &std::path::Path| path.display().to_string();
    let exec_ids: Vec<&str> = view.exec_ids.iter().map(|id| id.as_str()).collect();
    json!({
        "Id": view.id.as_str(),
        "Created": view.created_at.rfc3339_nano(),
        "Path": view.path,
        "Args": view.args,
        "State": render_state(&view.state),
        "Image": view.image_id.as_ref().map(|id| id.as_str()).unwrap_or_default(),
        "ResolvConfPath": path(&view.resolv_conf_path),
        "HostnamePath": path(&view.hostname_path),
        "HostsPath": path(&view.hosts_path),
        "LogPath": view.log_path.as_deref().map(path).unwrap_or_default(),
        "Name": format!("/{}", view.name),
        "RestartCount": view.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": if exec_ids.is_empty() { Value::Null } else { json!(exec_ids) },
        "HostConfig": host_view::render(&view.host, &view.mounts),
        "GraphDriver": render_driver(view),
        "Mounts": view.mounts.iter().filter_map(mount::render_point).collect::<Vec<_>>(),
        "Config": config::render(&view.config),
        "NetworkSettings": render_network(view),
    })
}

fn render_driver(view: &ContainerView) -> Value {
    let lower: Vec<String> = view.lower_dirs.iter().map(|dir| dir.display().to_string()).collect();
    json!({
        "Name": "overlay2",
        "Data": {
            "LowerDir": lower.join(":"),
            "UpperDir": view.upper_dir.display().to_string(),
            "WorkDir": view.work_dir.display().to_string(),
        },
    })
}

fn render_state(state: &ContainerState) -> Value {
    let ContainerState {
        status,
        pid,
        exit_code,
        error,
        oom_killed,
        started_at,
        finished_at,
        health,
    } = state;
    let mut document = json!({
        "Status": status.as_str(),
        "Running": state.is_running(),
        "Paused": *status == ContainerStatus::Paused,
        "Restarting": *status == ContainerStatus::Restarting,
        "OOMKilled": oom_killed,
        "Dead": *status == ContainerStatus::Dead,
        "Pid": pid,
        "ExitCode": exit_code,
        "Error": error,
        "StartedAt": Timestamp::rfc3339_or_zero(*started_at),
        "FinishedAt": Timestamp::rfc3339_or_zero(*finished_at),
    });
    if let Some(health) = health {
        document["Health"] = render_health(health);
    }
    document
}

fn render_health(health: &HealthView) -> Value {
    let HealthView { status, failing_streak, log } = health;
    let probes: Vec<Value> = log
        .iter()
        .map(|probe| {
            json!({
                "Start": probe.start.rfc3339_nano(),
                "End": probe.end.rfc3339_nano(),
                "ExitCode": probe.exit_code,
                "Output": probe.output,
            })
        })
        .collect();
    json!({ "Status": status.as_str(), "FailingStreak": failing_streak, "Log": probes })
}

/// The networks; the address on the default bridge also stands at the top, as
/// older clients look for it there.
fn render_network(view: &ContainerView) -> Value {
    let key =
        view.sandbox_key.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    let mut document = json!({
        "Bridge": "",
        "SandboxID": if view.sandbox_key.is_some() { view.id.as_str() } else { "" },
        "SandboxKey": key,
        "Ports": network::render_ports(&view.ports),
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "Networks": network::render_networks(&view.networks),
    });
    let bridge: Option<&EndpointView> = view.networks.get("bridge");
    let shown = bridge.map_or(Value::Null, network::render_endpoint);
    for key in [
        "EndpointID",
        "Gateway",
        "GlobalIPv6Address",
        "GlobalIPv6PrefixLen",
        "IPAddress",
        "IPPrefixLen",
        "IPv6Gateway",
        "MacAddress",
    ] {
        let zero = if key.ends_with("Len") { json!(0) } else { json!("") };
        document[key] = shown.get(key).cloned().unwrap_or(zero);
    }
    document
}
