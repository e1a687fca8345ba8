//! The portable half of a container's configuration, both ways.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use shoal_engine::domain::{ContainerConfig, Healthcheck, HealthcheckTest, Port};

use super::super::documents::{HealthDocument, HealthTerms, check_test};
use super::super::error::Result;
use super::super::wire::{At, Keys, Wire, WireError, Words, object, wire};
use super::host::HostDocument;
use super::network::NetworkingDocument;

wire!(
    /// `POST /containers/create`: Docker's `Config` with `HostConfig` and
    /// `NetworkingConfig` beside it.
    CreateDocument {
        hostname: String = "Hostname",
        domainname: String = "Domainname",
        user: String = "User",
        attach_stdin: bool = "AttachStdin",
        attach_stdout: bool = "AttachStdout",
        attach_stderr: bool = "AttachStderr",
        exposed_ports: Keys = "ExposedPorts",
        tty: bool = "Tty",
        open_stdin: bool = "OpenStdin",
        stdin_once: bool = "StdinOnce",
        env: Vec<String> = "Env",
        cmd: Option<Words> = "Cmd",
        healthcheck: Option<HealthDocument> = "Healthcheck",
        args_escaped: bool = "ArgsEscaped",
        image: String = "Image",
        volumes: Keys = "Volumes",
        workdir: String = "WorkingDir",
        entrypoint: Option<Words> = "Entrypoint",
        network_disabled: bool = "NetworkDisabled",
        mac_address: String = "MacAddress",
        labels: Labels = "Labels",
        stop_signal: String = "StopSignal",
        stop_timeout: Option<i64> = "StopTimeout",
        shell: Option<Words> = "Shell",
        host: HostDocument = "HostConfig",
        networking: NetworkingDocument = "NetworkingConfig",
    }
);

/// Labels: a map, or a list of `key=value` as older clients send them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Labels(pub(crate) BTreeMap<String, String>);

impl Wire for Labels {
    fn read(value: Value, at: &At<'_>) -> Result<Self, WireError> {
        let Value::Array(_) = value else {
            return BTreeMap::read(object(value, at)?.into(), at).map(Labels);
        };
        let pairs: Vec<String> = Vec::read(value, at)?;
        let split = |pair: String| match pair.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (pair, String::new()),
        };
        Ok(Self(pairs.into_iter().map(split).collect()))
    }
}

/// The halves of a create document that are not the portable configuration.
pub(super) struct Rest {
    /// The machine's half.
    pub(super) host: HostDocument,
    /// The networks.
    pub(super) networking: NetworkingDocument,
    /// The hardware address of the first network, in its old place.
    pub(super) mac_address: String,
}

impl CreateDocument {
    /// The configuration this document asks for, and its other halves.
    ///
    /// # Errors
    /// `Invalid` for a port, path or time that makes no sense.
    pub(super) fn into_domain(self) -> Result<(ContainerConfig, Rest)> {
        let given = |text: String| (!text.is_empty()).then_some(text);
        let rest =
            Rest { host: self.host, networking: self.networking, mac_address: self.mac_address };
        let ports = self.exposed_ports.0.iter().map(|port| port.parse::<Port>());
        let config = ContainerConfig {
            image: self.image,
            hostname: given(self.hostname),
            domainname: self.domainname,
            user: self.user,
            env: self.env,
            cmd: self.cmd.map(|words| words.0),
            entrypoint: self.entrypoint.map(|words| words.0),
            workdir: self.workdir,
            labels: self.labels.0,
            tty: self.tty,
            open_stdin: self.open_stdin,
            stdin_once: self.stdin_once,
            attach_stdin: self.attach_stdin,
            attach_stdout: self.attach_stdout,
            attach_stderr: self.attach_stderr,
            exposed_ports: ports.collect::<Result<BTreeSet<_>, _>>()?,
            volumes: self.volumes.0.into_iter().collect(),
            stop_signal: given(self.stop_signal),
            stop_timeout_s: self.stop_timeout,
            healthcheck: self.healthcheck.map(read_health).transpose()?,
            network_disabled: self.network_disabled,
            shell: self.shell.map(|words| words.0),
        };
        // The image's escaping of Windows command lines has no meaning here.
        let _ = self.args_escaped;
        Ok((config, rest))
    }
}

fn read_health(document: HealthDocument) -> Result<Healthcheck> {
    let terms = document.into_terms("Healthcheck")?;
    let HealthTerms { test, interval, timeout, start_period, start_interval, retries } = terms;
    Ok(Healthcheck {
        test: test.map(read_test).transpose()?.flatten(),
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
    })
}

fn read_test(mut words: Vec<String>) -> Result<Option<HealthcheckTest>> {
    check_test(&words)?;
    if words.is_empty() {
        return Ok(None);
    }
    Ok(match words.remove(0).as_str() {
        "NONE" => Some(HealthcheckTest::Disabled),
        "CMD" => Some(HealthcheckTest::Exec(words)),
        "CMD-SHELL" => words.pop().map(HealthcheckTest::Shell),
        _ => None,
    })
}

/// The configuration as Docker shows it.
pub(super) fn render(config: &ContainerConfig) -> Value {
    let ContainerConfig {
        image,
        hostname,
        domainname,
        user,
        env,
        cmd,
        entrypoint,
        workdir,
        labels,
        tty,
        open_stdin,
        stdin_once,
        attach_stdin,
        attach_stdout,
        attach_stderr,
        exposed_ports,
        volumes,
        stop_signal,
        stop_timeout_s,
        healthcheck,
        network_disabled,
        shell,
    } = config;
    let mut document = json!({
        "Hostname": hostname.as_deref().unwrap_or_default(),
        "Domainname": domainname,
        "User": user,
        "AttachStdin": attach_stdin,
        "AttachStdout": attach_stdout,
        "AttachStderr": attach_stderr,
        "Tty": tty,
        "OpenStdin": open_stdin,
        "StdinOnce": stdin_once,
        "Env": env,
        "Cmd": cmd,
        "Image": image,
        "Volumes": names(volumes.iter().cloned()),
        "WorkingDir": workdir,
        "Entrypoint": entrypoint,
        "OnBuild": null,
        "Labels": labels,
    });
    let mut add = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            document[key] = value;
        }
    };
    let ports = || names(exposed_ports.iter().map(ToString::to_string));
    add("ExposedPorts", (!exposed_ports.is_empty()).then(ports));
    add("StopSignal", stop_signal.as_ref().map(|signal| json!(signal)));
    add("StopTimeout", stop_timeout_s.map(|seconds| json!(seconds)));
    add("Healthcheck", healthcheck.as_ref().map(render_health));
    add("NetworkDisabled", network_disabled.then_some(Value::Bool(true)));
    add("Shell", shell.as_ref().map(|shell| json!(shell)));
    document
}

/// A set of names in Go's form: null for none.
fn names(names: impl Iterator<Item = String>) -> Value {
    let map: Map<String, Value> = names.map(|name| (name, json!({}))).collect();
    if map.is_empty() { Value::Null } else { Value::Object(map) }
}

fn render_health(check: &Healthcheck) -> Value {
    let Healthcheck { test, interval, timeout, start_period, start_interval, retries } = check;
    let mut document = json!({});
    if let Some(test) = test {
        document["Test"] = match test {
            HealthcheckTest::Disabled => json!(["NONE"]),
            HealthcheckTest::Shell(line) => json!(["CMD-SHELL", line]),
            HealthcheckTest::Exec(words) => {
                std::iter::once("CMD").chain(words.iter().map(String::as_str)).collect()
            }
        };
    }
    let times = [
        ("Interval", interval),
        ("Timeout", timeout),
        ("StartPeriod", start_period),
        ("StartInterval", start_interval),
    ];
    for (key, time) in times.into_iter().filter(|(_, time)| !time.is_zero()) {
        document[key] = json!(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
    if *retries != 0 {
        document["Retries"] = json!(retries);
    }
    document
}
