//! The flags of `run` and `create` as the document the API takes.

use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value, json};

use super::mounts::Mounts;
use super::options::Options;
use super::ports::Ports;
use super::values::{
    bytes, devices, environment, health, labels, nano_cpus, pairs, security, ulimits,
};

/// Which streams the client will attach to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Streams {
    /// Standard input.
    pub(super) stdin: bool,
    /// Standard output.
    pub(super) stdout: bool,
    /// Standard error.
    pub(super) stderr: bool,
}

/// The body of `POST /containers/create`.
pub(super) fn create_document(options: &Options, streams: Streams) -> Result<Value> {
    let ports = Ports::read(&options.publish, &options.expose)?;
    let mounts = Mounts::read(&options.volume, &options.mount, &options.tmpfs)?;
    let mut document = json!({
        "Hostname": options.hostname.as_deref().unwrap_or_default(),
        "Domainname": options.domainname.as_deref().unwrap_or_default(),
        "User": options.user.as_deref().unwrap_or_default(),
        "AttachStdin": streams.stdin,
        "AttachStdout": streams.stdout,
        "AttachStderr": streams.stderr,
        "ExposedPorts": ports.exposed,
        "Tty": options.tty,
        "OpenStdin": options.interactive,
        "StdinOnce": options.interactive && streams.stdin,
        "Env": environment(&options.env_file, &options.env)?,
        "Image": options.image,
        "Volumes": mounts.volumes,
        "WorkingDir": options.workdir.as_deref().unwrap_or_default(),
        "Labels": labels(&options.label_file, &options.label)?,
    });
    let mut add = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            document[key] = value;
        }
    };
    add("Cmd", (!options.command.is_empty()).then(|| json!(options.command)));
    // An empty entry point clears the image's.
    add("Entrypoint", options.entrypoint.as_ref().map(|program| json!([program])));
    add("StopSignal", options.stop_signal.as_ref().map(|signal| json!(signal)));
    add("StopTimeout", options.stop_timeout.map(|seconds| json!(seconds)));
    add("Healthcheck", health(&options.health)?);
    let (first, networking) = networks(options)?;
    document["NetworkingConfig"] = networking;
    document["HostConfig"] = host_document(options, &mounts, &ports, &first)?;
    Ok(document)
}

fn host_document(
    options: &Options,
    mounts: &Mounts,
    ports: &Ports,
    network: &str,
) -> Result<Value> {
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut document = json!({
        "Binds": mounts.binds,
        "Mounts": mounts.mounts,
        "Tmpfs": mounts.tmpfs,
        "NetworkMode": network,
        "PortBindings": ports.bindings,
        "PublishAllPorts": options.publish_all,
        "RestartPolicy": restart(&options.restart)?,
        "AutoRemove": options.rm,
        "LogConfig": { "Type": word(&options.log_driver), "Config": pairs(&options.log_opt) },
        "CapAdd": options.cap_add,
        "CapDrop": options.cap_drop,
        "Dns": options.dns,
        "DnsOptions": options.dns_option,
        "DnsSearch": options.dns_search,
        "ExtraHosts": options.add_host,
        "GroupAdd": options.group_add,
        "IpcMode": word(&options.ipc),
        "PidMode": word(&options.pid),
        "UTSMode": word(&options.uts),
        "UsernsMode": word(&options.userns),
        "CgroupnsMode": word(&options.cgroupns),
        "Privileged": options.privileged,
        "ReadonlyRootfs": options.read_only,
        "SecurityOpt": security(&options.security_opt)?,
        "Sysctls": pairs(&options.sysctl),
        "ShmSize": bytes(options.shm_size.as_deref())?,
        "OomScoreAdj": options.oom_score_adj.unwrap_or_default(),
        "Runtime": word(&options.runtime),
        "Annotations": pairs(&options.annotation),
        "VolumesFrom": options.volumes_from,
        "Init": options.init,
    });
    if let (Value::Object(document), Value::Object(limits)) = (&mut document, limits(options)?) {
        document.extend(limits);
    }
    Ok(document)
}

fn limits(options: &Options) -> Result<Value> {
    Ok(json!({
        "Memory": bytes(options.memory.as_deref())?,
        "MemorySwap": bytes(options.memory_swap.as_deref())?,
        "MemoryReservation": bytes(options.memory_reservation.as_deref())?,
        "MemorySwappiness": options.memory_swappiness,
        "NanoCpus": nano_cpus(options.cpus.as_deref())?,
        "CpuShares": options.cpu_shares.unwrap_or_default(),
        "CpuQuota": options.cpu_quota.unwrap_or_default(),
        "CpuPeriod": options.cpu_period.unwrap_or_default(),
        "CpusetCpus": options.cpuset_cpus.as_deref().unwrap_or_default(),
        "CpusetMems": options.cpuset_mems.as_deref().unwrap_or_default(),
        "PidsLimit": options.pids_limit.unwrap_or_default(),
        "Ulimits": ulimits(&options.ulimit)?,
        "Devices": devices(&options.device)?,
        "DeviceCgroupRules": options.device_cgroup_rule,
        "CgroupParent": options.cgroup_parent.as_deref().unwrap_or_default(),
    }))
}

/// `no`, `always`, `unless-stopped`, `on-failure[:times]`.
pub(super) fn restart(text: &str) -> Result<Value> {
    let (name, times) = text.split_once(':').unwrap_or((text, ""));
    let times: u32 = match times {
        "" => 0,
        times => times.parse().map_err(|_| {
            anyhow!("invalid restart policy format: maximum retry count must be an integer")
        })?,
    };
    Ok(json!({ "Name": name, "MaximumRetryCount": times }))
}

/// The first network, and the options of all of them.
fn networks(options: &Options) -> Result<(String, Value)> {
    let mut endpoints = Map::new();
    for text in &options.network {
        let (name, endpoint) = network(text)?;
        endpoints.insert(name, endpoint);
    }
    let first = options.network.first().map(|text| network(text)).transpose()?;
    let first = first.map_or_else(|| "default".to_owned(), |(name, _)| name);
    let named =
        !options.network_alias.is_empty() || options.ip.is_some() || options.mac_address.is_some();
    if named {
        let endpoint = endpoints.entry(first.clone()).or_insert_with(|| json!({}));
        endpoint["Aliases"] = json!(options.network_alias);
        if let Some(address) = &options.ip {
            endpoint["IPAMConfig"] = json!({ "IPv4Address": address });
        }
        if let Some(address) = &options.mac_address {
            endpoint["MacAddress"] = json!(address);
        }
    }
    if !named && options.network.len() <= 1 {
        endpoints.retain(|_, endpoint| endpoint.as_object().is_some_and(|map| !map.is_empty()));
    }
    Ok((first, json!({ "EndpointsConfig": endpoints })))
}

/// A name, or `name=…,alias=…,ip=…,mac-address=…`.
fn network(text: &str) -> Result<(String, Value)> {
    if !text.contains('=') {
        return Ok((text.to_owned(), json!({})));
    }
    let (mut name, mut endpoint) = (None, json!({}));
    let mut aliases = Vec::new();
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("name", value)) => name = Some(value.to_owned()),
            Some(("alias", value)) => aliases.push(value),
            Some(("ip", value)) => endpoint["IPAMConfig"] = json!({ "IPv4Address": value }),
            Some(("mac-address", value)) => endpoint["MacAddress"] = json!(value),
            _ => bail!("invalid field {field:?} in network {text:?}"),
        }
    }
    if !aliases.is_empty() {
        endpoint["Aliases"] = json!(aliases);
    }
    let name = name.ok_or_else(|| anyhow!("network name/id is not specified: {text:?}"))?;
    Ok((name, endpoint))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn document(line: &str) -> Result<Value> {
        let line = Line::try_parse_from(std::iter::once("run").chain(line.split(' ')))?;
        create_document(&line.options, Streams { stdin: true, stdout: true, stderr: true })
    }

    #[test]
    fn flags_become_dockers_document() {
        let document = document(
            "-i -p 8080:80 -e A=b -v /a:/b --network host -m 64m --cpus 0.5 --restart on-failure:3 \
             -l x=y --entrypoint /e busybox echo -n hi",
        )
        .expect("a document");
        assert_eq!(document["Cmd"], json!(["echo", "-n", "hi"]));
        assert_eq!(document["StdinOnce"], true);
        let host = &document["HostConfig"];
        assert_eq!(host["NetworkMode"], "host");
        assert_eq!(host["Memory"], 64 << 20);
        assert_eq!(host["NanoCpus"], 500_000_000);
        assert_eq!(host["RestartPolicy"]["MaximumRetryCount"], 3);
        assert_eq!(document["NetworkingConfig"], json!({"EndpointsConfig": {}}));
    }

    #[test]
    fn networks_have_options() {
        let one =
            document("--network my --network-alias db --ip 10.0.0.5 img").expect("a document");
        assert_eq!(
            one["NetworkingConfig"]["EndpointsConfig"]["my"],
            json!({"Aliases": ["db"], "IPAMConfig": {"IPv4Address": "10.0.0.5"}})
        );
        let two = document("--network a --network name=b,alias=x img").expect("a document");
        assert_eq!(two["HostConfig"]["NetworkMode"], "a");
        assert_eq!(two["NetworkingConfig"]["EndpointsConfig"]["b"]["Aliases"], json!(["x"]));
        assert!(document("--network alias=x img").is_err());
        assert!(document("--restart on-failure:x img").is_err());
    }
}
