//! Tells everything about containers, from memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use shoal_model::ContainerId;
use shoal_network::SandboxState;

use super::container::Container;
use super::record::Record;
use super::state::RunState;
use super::{Containers, etc};
use crate::domain::{
    BoundPort, ContainerState, ContainerView, DiskUse, EndpointView, LogDriver, Port, Protocol,
};
use crate::error::ContainerError;
use crate::node::blocking;

impl Containers {
    /// The id of the container with this name, id or unambiguous begin of an id.
    ///
    /// # Errors
    /// There is none, or several.
    pub fn resolve(&self, name: &str) -> Result<ContainerId, ContainerError> {
        Ok(self.table.find(name)?.id.clone())
    }

    /// Everything about one container; from memory.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn inspect(&self, name: &str) -> Result<ContainerView, ContainerError> {
        let container = self.table.find(name)?;
        let record = container.record();
        let state = container.state.borrow().clone();
        let sandbox = self.node.networks.state(&container.id);
        let mut command = record.command().into_iter();
        let dir = self.node.paths.dir(&container.id);
        let files = etc::files(&dir);
        let logs = matches!(record.host.log.driver, LogDriver::JsonFile { .. });
        Ok(ContainerView {
            id: container.id.clone(),
            name: record.name.clone(),
            created_at: record.created_at,
            path: command.next().unwrap_or_default(),
            args: command.collect(),
            image_id: record.image_id.clone(),
            config: record.config.clone(),
            host: record.host.clone(),
            restart_count: state.restart_count,
            mounts: record.mounts.clone(),
            networks: endpoints(&record, sandbox.as_ref()),
            ports: ports(&record, sandbox.as_ref()),
            sandbox_key: sandbox_key(&state),
            resolv_conf_path: files.resolv_conf,
            hostname_path: files.hostname,
            hosts_path: files.hosts,
            log_path: logs.then(|| self.node.paths.log(&container.id)),
            lower_dirs: record.rootfs.lower.clone(),
            upper_dir: record.rootfs.upper.clone(),
            work_dir: record.rootfs.work.clone(),
            exec_ids: self.execs.running_in(&container.id),
            state: view_state(state),
        })
    }

    /// The disk space a container uses; walks its files.
    ///
    /// # Errors
    /// There is none of that name, or its files cannot be read.
    pub async fn disk_use(&self, name: &str) -> Result<DiskUse, ContainerError> {
        let record = self.table.find(name)?.record();
        let image_bytes = match &record.image_id {
            Some(id) => self.node.images.get(id).map_or(0, |image| image.size),
            None => 0,
        };
        let upper = record.rootfs.upper.clone();
        let written = blocking(move || tree_bytes(&upper)).await;
        let written_bytes = written
            .map_err(ContainerError::io(format!("cannot measure container {}", record.name)))?;
        Ok(DiskUse { written_bytes, total_bytes: written_bytes + image_bytes })
    }
}

/// The state as callers see it.
pub(super) fn view_state(state: RunState) -> ContainerState {
    ContainerState {
        status: state.phase.status(),
        pid: state.pid,
        exit_code: state.exit_code,
        error: state.error,
        oom_killed: state.oom_killed,
        started_at: state.started_at,
        finished_at: state.finished_at,
        health: state.health.map(|health| *health),
    }
}

/// Networks by name: as joined where it runs, as asked for otherwise.
pub(super) fn endpoints(
    record: &Record,
    sandbox: Option<&SandboxState>,
) -> BTreeMap<String, EndpointView> {
    let mut views: BTreeMap<String, EndpointView> = record
        .networks
        .iter()
        .map(|(name, options)| {
            (name.clone(), EndpointView { options: options.clone(), ..EndpointView::default() })
        })
        .collect();
    for endpoint in sandbox.iter().flat_map(|sandbox| &sandbox.endpoints) {
        // The caller may have named the network by its id.
        let asked = [endpoint.network_name.as_str(), endpoint.network.as_str()]
            .into_iter()
            .find_map(|name| views.remove(name));
        let known = !endpoint.ipv4.is_unspecified();
        views.insert(
            endpoint.network_name.clone(),
            EndpointView {
                network_id: Some(endpoint.network.clone()),
                endpoint_id: endpoint.endpoint_id.clone(),
                ip_address: known.then_some(endpoint.ipv4),
                prefix_len: endpoint.prefix,
                gateway: endpoint.gateway,
                mac_address: endpoint.mac.map(|mac| mac.to_string()).unwrap_or_default(),
                dns_names: endpoint.dns_names.clone(),
                options: asked.map(|view| view.options).unwrap_or_default(),
            },
        );
    }
    views
}

/// Published ports by container port, and exposed ones without any; none of a container that is
/// in no network now.
pub(super) fn ports(
    record: &Record,
    sandbox: Option<&SandboxState>,
) -> BTreeMap<Port, Vec<BoundPort>> {
    let Some(sandbox) = sandbox else { return BTreeMap::new() };
    let exposed = record.config.exposed_ports.iter();
    let mut ports: BTreeMap<Port, Vec<BoundPort>> =
        exposed.map(|port| (*port, Vec::new())).collect();
    // Its ports are still its own without a network to reach it by, but nobody gets through.
    let reached = sandbox.publisher().is_some();
    for bound in sandbox.ports.iter().filter(|_| reached) {
        let protocol = match bound.protocol {
            shoal_network::Protocol::Tcp => Protocol::Tcp,
            shoal_network::Protocol::Udp => Protocol::Udp,
        };
        let port = Port { number: bound.container_port, protocol };
        let bound = BoundPort { host_ip: bound.host_ip.into(), host_port: bound.host_port };
        ports.entry(port).or_default().push(bound);
    }
    ports
}

fn sandbox_key(state: &RunState) -> Option<PathBuf> {
    (state.pid != 0).then(|| PathBuf::from(format!("/proc/{}/ns/net", state.pid)))
}

/// Bytes of all files below a directory, each link counted once per name.
pub(crate) fn tree_bytes(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut open = vec![path.to_owned()];
    while let Some(dir) = open.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            // Taken away while we walk.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => open.push(entry.path()),
                Ok(metadata) if metadata.is_file() => bytes += metadata.size(),
                _ => {}
            }
        }
    }
    Ok(bytes)
}

/// Whether a container is one for people, not a step of a build.
pub(super) fn is_visible(container: &Container) -> bool {
    !container.record().hidden
}
