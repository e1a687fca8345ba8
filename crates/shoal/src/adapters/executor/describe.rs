//! What this node says about itself to the swarm.

use std::collections::BTreeMap;
use std::fs;

use shoal_model::Platform;
use shoal_model::swarm::{EngineDescription, NodeDescription, Plugin, Resources, TlsDescription};

/// The drivers a Docker manager asks for before it places tasks here.
const PLUGINS: [(&str, &str); 6] = [
    ("Log", "json-file"),
    ("Log", "none"),
    ("Network", "bridge"),
    ("Network", "host"),
    ("Network", "null"),
    ("Volume", "local"),
];

/// Describes this node. Reads files.
pub(super) fn describe(labels: &[String]) -> NodeDescription {
    let processors = shoal_engine::processors();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let pair = |label: &String| match label.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (label.clone(), String::new()),
    };
    NodeDescription {
        hostname: hostname(),
        platform: Some(Platform {
            os: "linux".to_owned(),
            // The kernel's word, as Docker's nodes use it.
            architecture: std::env::consts::ARCH.to_owned(),
            variant: String::new(),
        }),
        resources: Resources {
            nano_cpus: i64::try_from(processors).unwrap_or(1) * 1_000_000_000,
            memory_bytes: memory_bytes(&meminfo).unwrap_or_default(),
            generic: Vec::new(),
        },
        engine: EngineDescription {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            labels: labels.iter().map(pair).collect::<BTreeMap<_, _>>(),
            plugins: PLUGINS
                .map(|(kind, name)| Plugin { kind: kind.to_owned(), name: name.to_owned() })
                .to_vec(),
        },
        tls: TlsDescription::default(),
    }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn memory_bytes(meminfo: &str) -> Option<i64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_says_what_it_has() {
        let node = describe(&["disk=ssd".to_owned()]);
        assert!(node.resources.memory_bytes > 0 && node.resources.nano_cpus > 0);
        assert!(!node.hostname.is_empty());
        assert_eq!(node.engine.labels["disk"], "ssd");
    }
}
