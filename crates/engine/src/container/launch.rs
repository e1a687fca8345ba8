//! From a record to a running process: network, files, shim.
//!
//! Every step that made something is undone when a later one fails.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use shoal_model::{Classify as _, ContainerId, Timestamp};
use shoal_network::{EndpointRequest, HostPort, Netns, PortRequest, SandboxRequest, SandboxState};
use shoal_runtime::launch::{CREATE_REQUEST_ID, Launched, ShimProcess, launch};
use shoal_runtime::protocol::{Operation, Reply};

use super::container::{Container, WaitingAttach};
use super::facts::{self, Neighbours};
use super::record::Record;
use super::state::RunState;
use super::{Containers, etc};
use crate::domain::{self, MountError, MountKind, NetworkMode, Protocol};
use crate::error::ContainerError;
use crate::files::remove_tree;
use crate::node::{Node, blocking};
use crate::shim::{Connection, ShimError};
use crate::spec;

/// How long a shim may take to make a container before it is given up: a frozen or
/// dying cgroup must not hold the caller for ever.
const CREATE_DEADLINE: Duration = Duration::from_secs(60);

/// A container whose program was started.
#[derive(Debug)]
pub(super) struct Running {
    /// First process, seen from the host.
    pub(super) pid: u32,
    /// When it began.
    pub(super) started_at: Timestamp,
    /// Its place in the networks.
    pub(super) sandbox: Option<Box<SandboxState>>,
    /// The connection that tells its end, and the id of that question.
    pub(super) exit: ExitListener,
}

/// Where a container's end will be told.
#[derive(Debug)]
pub(super) struct ExitListener {
    /// The connection.
    pub(super) connection: Connection,
    /// The id of the question.
    pub(super) question: u64,
    /// The shim, if it is a child of this daemon.
    pub(super) process: Option<ShimProcess>,
}

impl ExitListener {
    /// Kills a shim that does not answer; its container's first process goes with it.
    pub(super) fn kill_shim(&mut self, container: &ContainerId) {
        tracing::warn!(%container, "a shim does not answer, and is killed");
        let killed = match &mut self.process {
            Some(process) => process.kill(),
            None => self.connection.kill_shim(),
        };
        if let Err(error) = killed {
            tracing::error!(%container, %error, "cannot kill a shim");
        }
    }
}

impl Containers {
    /// Brings a container up. On an error nothing of it is left but its record.
    pub(super) async fn launch(
        &self,
        container: &Arc<Container>,
    ) -> Result<Running, ContainerError> {
        let record = container.record();
        let neighbours = self.neighbours(&record)?;
        let record = self.share_names(container, record, &neighbours).await?;
        let (netns, sandbox) = self.join_networks(&record).await?;
        match self.launch_shim(container, &record, neighbours, netns, &sandbox).await {
            Ok((pid, started_at, exit)) => {
                Ok(Running { pid, started_at, sandbox: sandbox.map(Box::new), exit })
            }
            Err(error) => {
                self.leave_networks(&record).await;
                self.remove_bundle(&record).await;
                Err(error)
            }
        }
    }

    async fn join_networks(
        &self,
        record: &Record,
    ) -> Result<(Option<OwnedFd>, Option<SandboxState>), ContainerError> {
        if let NetworkMode::Container(_) = record.host.network_mode {
            return Ok((None, None));
        }
        let request = sandbox_request(record)?;
        let sandbox = self.node.networks.sandbox(&record.id, request).await?;
        let netns = match sandbox.netns {
            Netns::Host => None,
            Netns::Fd(fd) => Some(fd),
        };
        Ok((netns, Some(sandbox.state)))
    }

    /// Gives back a container's place in the networks.
    pub(super) async fn leave_networks(&self, record: &Record) {
        if let NetworkMode::Container(_) = record.host.network_mode {
            return;
        }
        if let Err(error) = self.node.networks.release(&record.id).await {
            tracing::error!(container = %record.id, error = %error.chain(), "cannot release a container's networks");
        }
    }

    /// Removes what a run leaves in the run directory.
    pub(super) async fn remove_bundle(&self, record: &Record) {
        let dir = self.node.paths.bundle(&record.id).dir().to_owned();
        if let Err(error) = blocking(move || remove_tree(&dir)).await {
            tracing::error!(container = %record.id, %error, "cannot remove a container's bundle");
        }
    }

    async fn launch_shim(
        &self,
        container: &Container,
        record: &Arc<Record>,
        neighbours: Neighbours,
        netns: Option<OwnedFd>,
        sandbox: &Option<SandboxState>,
    ) -> Result<(u32, Timestamp, ExitListener), ContainerError> {
        let attaches = container.take_waiting_attaches();
        let mut state = container.state.borrow().clone();
        state.sandbox = sandbox.clone().map(Box::new);
        let (node, kept) = (self.node.clone(), record.clone());
        let launched =
            blocking(move || prepare_and_launch(&node, &kept, neighbours, netns, &state)).await?;
        let Launched { control, mut process } = launched;
        let begun = async {
            let connection = Connection::over(control).map_err(ShimError::Io)?;
            self.begin(record, connection, attaches).await
        };
        let failure = match tokio::time::timeout(CREATE_DEADLINE, begun).await {
            Ok(Ok((pid, started_at, connection, question))) => {
                let exit = ExitListener { connection, question, process: Some(process) };
                return Ok((pid, started_at, exit));
            }
            Ok(Err(failure)) => ContainerError::shim(&record.id, failure),
            Err(_) => {
                // What it made goes with it; the cgroup is removed below.
                let _ = process.kill();
                ContainerError::Shim {
                    container: record.id.to_string(),
                    message: format!("not ready after {} s", CREATE_DEADLINE.as_secs()),
                }
            }
        };
        self.bury(record, Some(process)).await;
        Err(failure)
    }

    /// Speaks with a fresh shim up to the running program. What need not be waited for
    /// is sent ahead, so that the shim never waits for this daemon to be scheduled.
    async fn begin(
        &self,
        record: &Record,
        mut control: Connection,
        attaches: Vec<WaitingAttach>,
    ) -> Result<(u32, Timestamp, Connection, u64), ShimError> {
        // The end is asked for together with the start: a short program's shim may have
        // left before a later question. One that could not create may have left already;
        // its answer says why.
        let both = || [Operation::Start, Operation::Wait];
        let ahead = match attaches.is_empty() {
            true => control.send_all(both()).await.ok(),
            false => None,
        };
        let created = match control.answer(CREATE_REQUEST_ID).await {
            Ok(created) => created,
            Err(error) => {
                // The reason is told; the shim leaves as soon as it has cleaned up.
                let _ = control.drain().await;
                return Err(error);
            }
        };
        let Reply::Created { pid } = created else {
            return Err(ShimError::Unexpected(format!("{created:?}")));
        };
        for attach in attaches {
            let mut stream = Connection::open(&self.node.paths.bundle(&record.id)).await?;
            stream.call(attach.wants).await?;
            // A client that has gone meanwhile hangs up, that is all.
            let _ = attach.connection.send(stream);
        }
        let [start, question] = match ahead {
            Some(ids) => ids,
            None => control.send_all(both()).await?,
        };
        match control.answer(start).await {
            Ok(Reply::Started { started_at }) => {
                Ok((pid.unsigned_abs(), started_at, control, question))
            }
            Ok(other) => Err(ShimError::Unexpected(format!("{other:?}"))),
            Err(error) => {
                let _ = control.drain().await;
                Err(error)
            }
        }
    }

    /// Kills every process of a container whose shim cannot be asked to.
    pub(super) async fn kill_processes(&self, record: &Record) {
        let node = self.node.clone();
        let path = node.cgroups.path(&record.id, record.host.resources.cgroup_parent.as_deref());
        if let Err(error) = blocking(move || node.cgroups.kill(&path)).await {
            tracing::error!(container = %record.id, %error, "cannot kill a container's processes");
        }
    }

    /// Waits for a shim that leaves, and removes the cgroup of one that could not.
    pub(super) async fn bury(&self, record: &Record, process: Option<ShimProcess>) {
        let (node, id) = (self.node.clone(), record.id.clone());
        let path = node.cgroups.path(&id, record.host.resources.cgroup_parent.as_deref());
        let buried = blocking(move || {
            if let Some(process) = process {
                process.reap()?;
            }
            node.cgroups.clear(&path)
        })
        .await;
        if let Err(error) = buried {
            tracing::error!(container = %record.id, %error, "cannot clean up after a container");
        }
    }
}

/// Writes everything the shim reads, and starts it. `state` is kept beside: should the daemon be
/// killed from here on, the next one knows the container's place in the networks. Blocks.
fn prepare_and_launch(
    node: &Node,
    record: &Record,
    neighbours: Neighbours,
    netns: Option<OwnedFd>,
    state: &RunState,
) -> Result<Launched, ContainerError> {
    let failed =
        |what: &str| ContainerError::io(format!("cannot {what} of container {}", record.name));
    let dir = node.paths.dir(&record.id);
    if let Some(sandbox) = &state.sandbox {
        etc::write(&dir, record, &node.networks, sandbox).map_err(failed("write /etc files"))?;
    }
    make_bind_sources(record)?;
    let facts = facts::find(node, record, neighbours)?;
    let (document, shim_config) =
        spec::build(record, &facts).map_err(|error| ContainerError::Invalid(error.to_string()))?;
    let bundle = node.paths.bundle(&record.id);
    remove_tree(bundle.dir()).map_err(failed("clear the bundle"))?;
    fs::create_dir(bundle.dir()).map_err(failed("make the bundle"))?;
    bundle.write(&document, &shim_config).map_err(internal(record))?;
    node.paths.write_start(&record.id, state).map_err(failed("store the start"))?;
    launch(&node.shim, &bundle, netns.as_ref().map(AsFd::as_fd)).map_err(internal(record))
}

fn internal<E: shoal_model::Classify>(record: &Record) -> impl FnOnce(E) -> ContainerError {
    let container = record.id.to_string();
    move |error| ContainerError::Shim { container, message: error.chain() }
}

/// Sources of `-v /a:/b` that are not there become directories; of `--mount` they must be there.
fn make_bind_sources(record: &Record) -> Result<(), ContainerError> {
    for point in &record.mounts {
        let MountKind::Bind { create_source, source, .. } = &point.mount.kind else { continue };
        if fs::symlink_metadata(&point.source).is_ok() {
            continue;
        }
        if !create_source {
            return Err(MountError::NoSource(source.clone()).into());
        }
        let what = format!("cannot make mount sources of container {}", record.name);
        fs::create_dir_all(&point.source).map_err(ContainerError::io(what))?;
    }
    Ok(())
}

/// What the networks are asked for a container; its mode's network first.
fn sandbox_request(record: &Record) -> Result<SandboxRequest, ContainerError> {
    let first = record.host.network_mode.to_string();
    let mut names: Vec<&String> = record.networks.keys().collect();
    names.sort_by_key(|name| (**name != first, name.as_str()));
    let endpoints: Result<Vec<_>, _> =
        names.iter().map(|name| endpoint_request(name, &record.networks[*name])).collect();
    Ok(SandboxRequest {
        name: record.name.clone(),
        hostname: record.config.hostname.clone().unwrap_or_default(),
        endpoints: endpoints?,
        ports: port_requests(record),
        dns: etc::dns_options(&record.host),
    })
}

/// What the networks are asked for one endpoint.
pub(super) fn endpoint_request(
    network: &str,
    options: &domain::EndpointOptions,
) -> Result<EndpointRequest, ContainerError> {
    let mac = match options.mac_address.as_deref() {
        None | Some("") => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| ContainerError::Invalid(format!("invalid MAC address: {text}")))?,
        ),
    };
    if options.ipv6_address.is_some() {
        return Err(ContainerError::Unsupported("a fixed IPv6 address".into()));
    }
    Ok(EndpointRequest {
        network: network.into(),
        ipv4: options.ipv4_address,
        mac,
        aliases: options.aliases.clone(),
    })
}

/// Ports to publish: the bindings, and every other exposed port where all are wanted.
fn port_requests(record: &Record) -> Vec<PortRequest> {
    let host = &record.host;
    if let NetworkMode::Host | NetworkMode::None = host.network_mode {
        return Vec::new();
    }
    let mut requests = Vec::new();
    for (port, bindings) in &host.port_bindings {
        requests.extend(bindings.iter().filter_map(|binding| port_request(*port, *binding)));
    }
    if host.publish_all_ports {
        let unbound =
            record.config.exposed_ports.iter().filter(|port| {
                host.port_bindings.get(port).is_none_or(|bindings| bindings.is_empty())
            });
        requests.extend(unbound.filter_map(|port| port_request(*port, Default::default())));
    }
    requests
}

fn port_request(port: domain::Port, binding: domain::PortBinding) -> Option<PortRequest> {
    let protocol = match port.protocol {
        Protocol::Tcp => shoal_network::Protocol::Tcp,
        Protocol::Udp => shoal_network::Protocol::Udp,
        // Refused at create where it is bound; nothing to publish where it is only exposed.
        Protocol::Sctp => return None,
    };
    let host_port = match binding.host_port {
        domain::HostPort::Any => HostPort::Any,
        domain::HostPort::Range { first, last } if first == last => HostPort::Fixed(first),
        domain::HostPort::Range { first, last } => HostPort::Range(first, last),
    };
    Some(PortRequest { container_port: port.number, protocol, host_ip: binding.host_ip, host_port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::container::tests::record;
    use crate::domain::{HostConfig, PortBinding};

    fn web() -> Record {
        let mut web = record(&"a".repeat(64), "web");
        web.config.exposed_ports = ["80/tcp", "53/udp"].map(|port| port.parse().unwrap()).into();
        web
    }

    #[test]
    fn the_modes_network_comes_first() {
        let mut web = web();
        web.host.network_mode = NetworkMode::Network("web".into());
        for name in ["api", "web", "zone"] {
            web.networks.insert(name.into(), Default::default());
        }
        let request = sandbox_request(&web).unwrap();
        let names: Vec<_> = request.endpoints.iter().map(|one| one.network.as_str()).collect();
        assert_eq!(names, ["web", "api", "zone"]);
    }

    #[test]
    fn all_exposed_ports_are_published_once() {
        let binding = PortBinding { host_ip: None, host_port: "8080".parse().unwrap() };
        let mut web = web();
        web.host = HostConfig {
            port_bindings: [("80/tcp".parse().unwrap(), vec![binding])].into(),
            publish_all_ports: true,
            ..HostConfig::default()
        };
        let ports = port_requests(&web);
        assert_eq!(ports.len(), 2);
        assert_eq!((ports[0].container_port, ports[0].host_port), (80, HostPort::Fixed(8080)));
        assert_eq!((ports[1].container_port, ports[1].host_port), (53, HostPort::Any));
        web.host.network_mode = NetworkMode::Host;
        assert!(port_requests(&web).is_empty());
    }

    #[test]
    fn a_bad_hardware_address_is_named() {
        let options =
            domain::EndpointOptions { mac_address: Some("x".into()), ..Default::default() };
        let error = endpoint_request("n", &options).unwrap_err();
        assert_eq!(error.to_string(), "invalid MAC address: x");
    }
}
