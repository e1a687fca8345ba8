//! Flags put into a service's spec. Pure.

use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value, json};

use super::super::container::{bytes, health, nano_cpus, nanos, pairs, read_port_parts};
use super::options::Options;

/// Puts what was given into a spec; the rest stays as it is.
///
/// # Errors
/// A value that cannot be read.
pub(super) fn apply(options: &Options, spec: &mut Value) -> Result<()> {
    apply_container(options, spec)?;
    apply_task(options, spec)?;
    if let Some(replicas) = options.replicas {
        if spec["Mode"].get("Global").is_some() {
            bail!("replicas can only be used with replicated or replicated-job mode");
        }
        spec["Mode"] = json!({ "Replicated": { "Replicas": replicas } });
    }
    let update = [
        ("Parallelism", options.update_parallelism.map(|n| json!(n))),
        ("Delay", time(options.update_delay.as_deref())?),
        ("FailureAction", word(options.update_failure_action.as_ref())),
        ("Monitor", time(options.update_monitor.as_deref())?),
        ("MaxFailureRatio", options.update_max_failure_ratio.map(|n| json!(n))),
        ("Order", word(options.update_order.as_ref())),
    ];
    roll_out(spec, "UpdateConfig", update);
    let rollback = [
        ("Parallelism", options.rollback_parallelism.map(|n| json!(n))),
        ("Delay", time(options.rollback_delay.as_deref())?),
        ("FailureAction", word(options.rollback_failure_action.as_ref())),
        ("Monitor", time(options.rollback_monitor.as_deref())?),
        ("MaxFailureRatio", options.rollback_max_failure_ratio.map(|n| json!(n))),
        ("Order", word(options.rollback_order.as_ref())),
    ];
    roll_out(spec, "RollbackConfig", rollback);
    put(spec, &["EndpointSpec"], [("Mode", word(options.endpoint_mode.as_ref()))]);
    Ok(())
}

fn apply_container(options: &Options, spec: &mut Value) -> Result<()> {
    let entrypoint =
        options.entrypoint.as_ref().map(|text| json!(text.split_whitespace().collect::<Vec<_>>()));
    put(
        spec,
        &["TaskTemplate", "ContainerSpec"],
        [
            ("Dir", word(options.workdir.as_ref())),
            ("User", word(options.user.as_ref())),
            ("Hostname", word(options.hostname.as_ref())),
            ("Command", entrypoint),
            ("TTY", options.tty.then_some(Value::Bool(true))),
            ("ReadOnly", options.read_only.then_some(Value::Bool(true))),
            ("Init", options.init.then_some(Value::Bool(true))),
            ("StopSignal", word(options.stop_signal.as_ref())),
            ("StopGracePeriod", time(options.stop_grace_period.as_deref())?),
            ("Healthcheck", health(&options.health)?),
        ],
    );
    Ok(())
}

fn apply_task(options: &Options, spec: &mut Value) -> Result<()> {
    let cpus = |text: &Option<String>| {
        text.as_deref().map(|text| nano_cpus(Some(text)).map(|n| json!(n))).transpose()
    };
    let size = |text: &Option<String>| {
        text.as_deref().map(|text| bytes(Some(text)).map(|n| json!(n))).transpose()
    };
    put(
        spec,
        &["TaskTemplate", "Resources", "Limits"],
        [
            ("NanoCPUs", cpus(&options.limit_cpu)?),
            ("MemoryBytes", size(&options.limit_memory)?),
            ("Pids", options.limit_pids.map(|n| json!(n))),
        ],
    );
    put(
        spec,
        &["TaskTemplate", "Resources", "Reservations"],
        [
            ("NanoCPUs", cpus(&options.reserve_cpu)?),
            ("MemoryBytes", size(&options.reserve_memory)?),
        ],
    );
    put(
        spec,
        &["TaskTemplate", "RestartPolicy"],
        [
            ("Condition", word(options.restart_condition.as_ref())),
            ("Delay", time(options.restart_delay.as_deref())?),
            ("MaxAttempts", options.restart_max_attempts.map(|n| json!(n))),
            ("Window", time(options.restart_window.as_deref())?),
        ],
    );
    put(
        spec,
        &["TaskTemplate", "Placement"],
        [("MaxReplicas", options.replicas_max_per_node.map(|n| json!(n)))],
    );
    let log_options = (!options.log_opt.is_empty()).then(|| Value::Object(pairs(&options.log_opt)));
    put(
        spec,
        &["TaskTemplate", "LogDriver"],
        [("Name", word(options.log_driver.as_ref())), ("Options", log_options)],
    );
    Ok(())
}

/// A roll-out starts from one task at a time, as docker's does.
fn roll_out<const N: usize>(spec: &mut Value, key: &str, values: [(&str, Option<Value>); N]) {
    if values.iter().all(|(_, value)| value.is_none()) {
        return;
    }
    if spec[key].is_null() {
        spec[key] = json!({ "Parallelism": 1 });
    }
    put(spec, &[key], values);
}

/// Sets members that were given; where none was, nothing is touched: an empty
/// part of a spec is another spec than none, and tasks would be replaced.
pub(super) fn put<const N: usize>(
    document: &mut Value,
    path: &[&str],
    values: [(&str, Option<Value>); N],
) {
    for (key, value) in values {
        if let Some(value) = value {
            path.iter().fold(&mut *document, |part, step| &mut part[*step])[key] = value;
        }
    }
}

fn word(text: Option<&String>) -> Option<Value> {
    text.map(|text| json!(text))
}

fn time(text: Option<&str>) -> Result<Option<Value>> {
    text.map(|text| nanos(text).map(|nanos| json!(nanos))).transpose()
}

/// Removes members that say nothing from a new spec; a mode may be empty.
pub(super) fn tidy(value: &mut Value) {
    let Value::Object(map) = value else { return };
    for (_, value) in map.iter_mut().filter(|(key, _)| *key != "Mode") {
        tidy(value);
    }
    map.retain(|key, value| {
        let empty = value.as_object().is_some_and(Map::is_empty) && key != "Mode";
        !value.is_null() && !empty
    });
}

/// A published port: `published:target/protocol`, or
/// `published=…,target=…,protocol=…,mode=…`.
///
/// # Errors
/// A text of neither form.
pub(super) fn port(text: &str) -> Result<Value> {
    let number = |text: &str| text.parse::<u16>().map_err(|_| anyhow!("invalid port {text:?}"));
    if !text.contains('=') {
        let parts = read_port_parts(text)?;
        if !parts.ip.is_empty() {
            bail!("hostip is not supported for services: {text:?}");
        }
        let mut port = json!({
            "Protocol": parts.protocol, "TargetPort": number(parts.container)?, "PublishMode": "ingress",
        });
        if !parts.host.is_empty() {
            port["PublishedPort"] = json!(number(parts.host)?);
        }
        return Ok(port);
    }
    let mut port = json!({ "Protocol": "tcp", "PublishMode": "ingress" });
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("target", value)) => port["TargetPort"] = json!(number(value)?),
            Some(("published", value)) => port["PublishedPort"] = json!(number(value)?),
            Some(("protocol", value)) => port["Protocol"] = json!(value),
            Some(("mode", value)) => port["PublishMode"] = json!(value),
            _ => bail!("invalid field {field:?} in port {text:?}"),
        }
    }
    if port.get("TargetPort").is_none() {
        bail!("missing mandatory field \"target\" in port {text:?}");
    }
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_changes() {
        let mut spec = json!({
            "Mode": {"Replicated": {"Replicas": 3}},
            "TaskTemplate": {"ContainerSpec": {"Image": "a", "User": "u"}},
        });
        let options = Options {
            replicas: Some(5),
            update_delay: Some("1s".into()),
            limit_memory: Some("1m".into()),
            ..Options::default()
        };
        apply(&options, &mut spec).expect("a spec");
        tidy(&mut spec);
        assert_eq!(
            spec,
            json!({
                "Mode": {"Replicated": {"Replicas": 5}},
                "TaskTemplate": {
                    "ContainerSpec": {"Image": "a", "User": "u"},
                    "Resources": {"Limits": {"MemoryBytes": 1 << 20}},
                },
                "UpdateConfig": {"Parallelism": 1, "Delay": 1_000_000_000},
            })
        );
        let mut global = json!({"Mode": {"Global": {}}});
        assert!(apply(&options, &mut global).is_err());
    }

    #[test]
    fn ports_have_two_forms() {
        let short = port("8080:80/udp").expect("a port");
        assert_eq!((&short["PublishedPort"], &short["Protocol"]), (&json!(8080), &json!("udp")));
        let long = port("published=8080,target=80,mode=host").expect("a port");
        assert_eq!((&long["TargetPort"], &long["PublishMode"]), (&json!(80), &json!("host")));
        assert!(port("published=1").is_err() && port("1.2.3.4:1:2").is_err() && port("x").is_err());
    }
}
