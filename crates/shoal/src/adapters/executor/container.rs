//! A task's spec as a container of the engine. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use shoal_cluster::agent::Work;
use shoal_engine::domain::{
    ContainerConfig, CreateContainer, EndpointOptions, Healthcheck, HealthcheckTest, HostConfig,
    HostPort, LogConfig, Mount, MountKind, NetworkMode, Port, PortBinding, Propagation, Protocol,
    Resources, RootfsSource, SeccompChoice, TmpfsOptions, Ulimit,
};
use shoal_model::swarm::{
    self, ContainerSpec, HealthConfig, NetworkAttachmentSpec, NodeDescription, PortConfig,
    PortProtocol, Privileges, PublishMode, SeccompMode, Task,
};

use super::index::TASK_LABEL;
use super::template::Context;

type Result<T> = std::result::Result<T, String>;

/// The container of a task.
///
/// # Errors
/// A spec this node cannot carry out, in words for `service ps`.
pub(super) fn request(work: &Work, node: &NodeDescription) -> Result<CreateContainer> {
    let task = &*work.task;
    let spec = &task.spec.container;
    refuse(spec)?;
    let context = Context::new(task, node);
    let (network_mode, networks) = networks(task)?;
    Ok(CreateContainer {
        name: Some(task.name()),
        config: config(task, spec, &context)?,
        host: host(task, spec, &context, network_mode)?,
        networks,
        rootfs: RootfsSource::Image,
        hidden: false,
    })
}

/// What no container here can have yet; none of it is ignored.
fn refuse(spec: &ContainerSpec) -> Result<()> {
    let windows = !matches!(spec.isolation.as_str(), "" | "default");
    for (set, what) in [
        (!spec.secrets.is_empty(), "secrets of a service are"),
        (!spec.configs.is_empty(), "configs of a service are"),
        (spec.init == Some(true), "an init process (--init) in a service's containers is"),
        (windows, "an isolation technology (--isolation) for a service's containers is"),
    ] {
        if set {
            return Err(format!("{what} not supported by this node yet"));
        }
    }
    Ok(())
}

fn config(task: &Task, spec: &ContainerSpec, context: &Context) -> Result<ContainerConfig> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let list = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let env = spec.env.iter().map(|text| context.fill("env", text)).collect::<Result<_>>()?;
    Ok(ContainerConfig {
        image: spec.image.clone(),
        hostname: given(&context.fill("hostname", &spec.hostname)?),
        user: spec.user.clone(),
        env,
        // As in Docker, `Command` replaces the entry point and `Args` the command.
        entrypoint: list(&spec.command),
        cmd: list(&spec.args),
        workdir: spec.dir.clone(),
        labels: labels(task, spec),
        tty: spec.tty,
        open_stdin: spec.open_stdin,
        stop_signal: given(&spec.stop_signal),
        stop_timeout_s: spec.stop_grace_period.map(seconds),
        healthcheck: spec.health_check.as_ref().map(healthcheck).transpose()?,
        ..ContainerConfig::default()
    })
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).unwrap_or(i64::MAX)
}

/// The user's labels and those that say what task this is.
fn labels(task: &Task, spec: &ContainerSpec) -> BTreeMap<String, String> {
    let node = task.node_id.as_ref().map(|id| id.as_str()).unwrap_or_default();
    let mut labels = spec.labels.clone();
    labels.extend(
        [
            ("com.docker.swarm.task", ""),
            (TASK_LABEL, task.id.as_str()),
            ("com.docker.swarm.task.name", &task.name()),
            ("com.docker.swarm.node.id", node),
            ("com.docker.swarm.service.id", task.service_id.as_str()),
            ("com.docker.swarm.service.name", &task.service_annotations.name),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    labels
}

fn healthcheck(check: &HealthConfig) -> Result<Healthcheck> {
    let HealthConfig { test, interval, timeout, retries, start_period, start_interval } = check;
    let words: Vec<&str> = test.iter().map(String::as_str).collect();
    let test = match words.as_slice() {
        [] => None,
        ["NONE"] => Some(HealthcheckTest::Disabled),
        ["CMD", words @ ..] => {
            Some(HealthcheckTest::Exec(words.iter().map(|word| (*word).to_owned()).collect()))
        }
        ["CMD-SHELL", line] => Some(HealthcheckTest::Shell((*line).to_owned())),
        _ => return Err(format!("invalid health check {test:?}")),
    };
    Ok(Healthcheck {
        test,
        interval: *interval,
        timeout: *timeout,
        start_period: *start_period,
        start_interval: *start_interval,
        retries: *retries,
    })
}

fn host(
    task: &Task,
    spec: &ContainerSpec,
    context: &Context,
    network_mode: NetworkMode,
) -> Result<HostConfig> {
    let mut host = HostConfig {
        network_mode,
        port_bindings: port_bindings(task),
        mounts: spec.mounts.iter().map(|one| mount(one, context)).collect::<Result<_>>()?,
        resources: resources(task, spec),
        cap_add: spec.cap_add.clone(),
        cap_drop: spec.cap_drop.clone(),
        readonly_rootfs: spec.read_only,
        sysctls: spec.sysctls.clone(),
        group_add: spec.groups.clone(),
        extra_hosts: spec.hosts.iter().filter_map(|line| extra_host(line)).flatten().collect(),
        oom_score_adj: i32::try_from(spec.oom_score_adj)
            .map_err(|_| "invalid oom score".to_owned())?,
        ..HostConfig::default()
    };
    if let Some(dns) = &spec.dns {
        host.dns.clone_from(&dns.nameservers);
        host.dns_search.clone_from(&dns.search);
        host.dns_options.clone_from(&dns.options);
    }
    if let Some(privileges) = &spec.privileges {
        apply_privileges(&mut host, privileges)?;
    }
    if let Some(driver) = task.log_driver.as_ref().or(task.spec.log_driver.as_ref()) {
        host.log = LogConfig::read(&driver.name, driver.options.clone())
            .map_err(|error| error.to_string())?;
    }
    Ok(host)
}

/// A line of /etc/hosts (`address name …`) as the engine's `name:address`.
fn extra_host(line: &str) -> Option<Vec<String>> {
    let mut words = line.split_whitespace();
    let address = words.next()?;
    Some(words.map(|name| format!("{name}:{address}")).collect())
}

fn apply_privileges(host: &mut HostConfig, privileges: &Privileges) -> Result<()> {
    let Privileges { credential_spec, selinux, seccomp, apparmor: _, no_new_privileges } =
        privileges;
    if credential_spec.is_some() {
        return Err("Windows credentials are not supported by this node".to_owned());
    }
    if selinux.as_ref().is_some_and(|context| !context.disable) {
        return Err("SELinux labels are not supported by this node yet".to_owned());
    }
    host.no_new_privileges = *no_new_privileges;
    host.seccomp = match seccomp {
        None | Some(SeccompMode::Default) => SeccompChoice::Default,
        Some(SeccompMode::Unconfined) => SeccompChoice::Unconfined,
        Some(SeccompMode::Custom(profile)) => {
            SeccompChoice::Profile(String::from_utf8_lossy(profile).into_owned())
        }
    };
    Ok(())
}

/// What the container may use at most. What is reserved is the scheduler's business alone, as in
/// Docker.
fn resources(task: &Task, spec: &ContainerSpec) -> Resources {
    let limits = task.spec.resources.as_ref().and_then(|resources| resources.limits.clone());
    let limits = limits.unwrap_or_default();
    let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    let pids = if limits.pids > 0 { limits.pids } else { spec.pids_limit };
    Resources {
        memory_bytes: positive(limits.memory_bytes),
        nano_cpus: positive(limits.nano_cpus),
        pids_limit: Some(pids).filter(|pids| *pids > 0),
        ulimits: spec.ulimits.iter().map(ulimit).collect(),
        ..Resources::default()
    }
}

fn ulimit(limit: &swarm::Ulimit) -> Ulimit {
    let swarm::Ulimit { name, soft, hard } = limit;
    Ulimit { name: name.clone(), soft: *soft, hard: *hard }
}

fn networks(task: &Task) -> Result<(NetworkMode, BTreeMap<String, EndpointOptions>)> {
    let mut all = BTreeMap::new();
    let mut first = None;
    for network in &task.spec.networks {
        let NetworkAttachmentSpec { target, aliases, driver_options } = network;
        if !driver_options.is_empty() {
            return Err(format!(
                "driver options of network {target} are not supported by this node yet"
            ));
        }
        let mode: NetworkMode =
            target.parse().map_err(|_| format!("invalid network {target:?}"))?;
        let alone = matches!(mode, NetworkMode::Host | NetworkMode::None);
        if !alone && !matches!(mode, NetworkMode::Bridge) {
            all.insert(
                target.clone(),
                EndpointOptions { aliases: aliases.clone(), ..EndpointOptions::default() },
            );
        }
        first.get_or_insert(mode);
    }
    Ok((first.unwrap_or_default(), all))
}

/// Ports published on the node itself; those of the mesh are not the container's.
fn port_bindings(task: &Task) -> BTreeMap<Port, Vec<PortBinding>> {
    let mut bindings: BTreeMap<Port, Vec<PortBinding>> = BTreeMap::new();
    let ports = task.endpoint.iter().flat_map(|endpoint| &endpoint.ports);
    for port in ports.filter(|port| port.publish_mode == PublishMode::Host) {
        let PortConfig { name: _, protocol, target_port, published_port, publish_mode: _ } = port;
        let protocol = match protocol {
            PortProtocol::Tcp => Protocol::Tcp,
            PortProtocol::Udp => Protocol::Udp,
            PortProtocol::Sctp => Protocol::Sctp,
        };
        let host_port = match published_port {
            0 => HostPort::Any,
            port => HostPort::Range { first: *port, last: *port },
        };
        let binding = PortBinding { host_ip: None, host_port };
        bindings.entry(Port { number: *target_port, protocol }).or_default().push(binding);
    }
    bindings
}

fn mount(mount: &swarm::Mount, context: &Context) -> Result<Mount> {
    let swarm::Mount { kind, source, target, read_only, consistency: _, bind, volume, tmpfs } =
        mount;
    let source = context.fill("mounts", source)?;
    let kind = match kind {
        swarm::MountKind::Bind => bind_mount(source, bind.as_ref())?,
        swarm::MountKind::Volume => volume_mount(source, volume.as_ref(), context)?,
        swarm::MountKind::Tmpfs if !source.is_empty() => {
            return Err("invalid tmpfs source, source must be empty".to_owned());
        }
        swarm::MountKind::Tmpfs => MountKind::Tmpfs(tmpfs_mount(tmpfs.as_ref())),
        swarm::MountKind::NamedPipe | swarm::MountKind::Cluster => {
            return Err(
                "the mount types npipe and cluster are not supported by this node".to_owned()
            );
        }
    };
    Ok(Mount { destination: context.fill("mounts", target)?, kind, read_only: *read_only })
}

fn bind_mount(source: String, options: Option<&swarm::BindOptions>) -> Result<MountKind> {
    let none = swarm::BindOptions::default();
    let options = options.unwrap_or(&none);
    if options.read_only_non_recursive || options.read_only_force_recursive {
        return Err(
            "read-only options of bind mounts are not supported by this node yet".to_owned()
        );
    }
    let propagation = match options.propagation.as_str() {
        "" => Propagation::default(),
        word => Propagation::parse(word).ok_or_else(|| format!("invalid propagation {word:?}"))?,
    };
    Ok(MountKind::Bind {
        source,
        create_source: options.create_mountpoint,
        propagation,
        recursive: !options.non_recursive,
    })
}

fn volume_mount(
    source: String,
    options: Option<&swarm::VolumeOptions>,
    context: &Context,
) -> Result<MountKind> {
    let none = swarm::VolumeOptions::default();
    let swarm::VolumeOptions { no_copy, labels, driver, subpath } = options.unwrap_or(&none);
    if !subpath.is_empty() {
        return Err("a subpath of a volume is not supported by this node yet".to_owned());
    }
    let driver = driver.clone().unwrap_or_default();
    let fill = |(key, value): (&String, &String)| Ok((key.clone(), context.fill("mounts", value)?));
    Ok(MountKind::Volume {
        name: (!source.is_empty()).then_some(source),
        driver: driver.name,
        labels: labels.iter().map(fill).collect::<Result<_>>()?,
        options: driver.options.iter().map(fill).collect::<Result<_>>()?,
        copy_up: !no_copy,
    })
}

fn tmpfs_mount(options: Option<&swarm::TmpfsOptions>) -> TmpfsOptions {
    let none = swarm::TmpfsOptions::default();
    let swarm::TmpfsOptions { size_bytes, mode, options } = options.unwrap_or(&none);
    TmpfsOptions {
        size_bytes: u64::try_from(*size_bytes).ok().filter(|bytes| *bytes > 0),
        mode: (*mode > 0).then_some(*mode),
        options: options
            .split(',')
            .filter(|option| !option.is_empty())
            .map(str::to_owned)
            .collect(),
    }
}
