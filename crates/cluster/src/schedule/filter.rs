//! What a node must have for a task, and the words when no node has it.
//!
//! The order of the checks and their words are SwarmKit's: a node counts for
//! the first check it fails.

use shoal_model::Platform;
use shoal_model::swarm::{Driver, MountKind, Plugin, Task};

use super::candidate::{Candidate, host_ports, reserved};
use crate::constraint;

/// Why a node cannot take a task; in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    NotReady,
    Resources,
    Plugin,
    Constraints,
    Platform,
    HostPort,
    MaxReplicas,
}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::NotReady,
        Self::Resources,
        Self::Plugin,
        Self::Constraints,
        Self::Platform,
        Self::HostPort,
        Self::MaxReplicas,
    ];

    fn words(self, nodes: usize) -> String {
        let on = if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
        match self {
            Self::NotReady => format!("{on} not available for new tasks"),
            Self::Resources => format!("insufficient resources on {on}"),
            Self::Plugin => format!("missing plugin on {on}"),
            Self::Constraints => format!("scheduling constraints not satisfied on {on}"),
            Self::Platform => format!("unsupported platform on {on}"),
            Self::HostPort => format!("host-mode port already in use on {on}"),
            Self::MaxReplicas => "max replicas per node limit exceed".to_owned(),
        }
    }
}

/// The first check the node fails for the task; `on_node` is how many tasks
/// of its service are wanted there.
pub(super) fn check(candidate: &Candidate, task: &Task, on_node: u32) -> Option<Refusal> {
    [suits(candidate, task), has_room(candidate, task, on_node)].into_iter().flatten().min()
}

/// What does not change while tasks are placed.
pub(super) fn suits(candidate: &Candidate, task: &Task) -> Option<Refusal> {
    let node = &candidate.node;
    if !node.takes_tasks() {
        return Some(Refusal::NotReady);
    }
    if node.description.as_ref().is_some_and(|node| !has_drivers(&node.engine.plugins, task)) {
        return Some(Refusal::Plugin);
    }
    if !constraint::all_met(&task.spec, node) {
        return Some(Refusal::Constraints);
    }
    let placement = task.spec.placement.as_ref();
    let platforms = placement.map_or(&[][..], |placement| &placement.platforms);
    let machine = node.description.as_ref().and_then(|d| d.platform.as_ref());
    let runs = |wanted: &Platform| machine.is_some_and(|machine| runs_on(wanted, machine));
    if !platforms.is_empty() && !platforms.iter().any(runs) {
        return Some(Refusal::Platform);
    }
    None
}

/// Whether a node has the volume and log drivers a task names, by SwarmKit's rules: `local`
/// volumes and the log driver `none` are everywhere, and a node that tells no log drivers at all
/// is older than the question.
fn has_drivers(plugins: &[Plugin], task: &Task) -> bool {
    let of_kind = |kind: &'static str| plugins.iter().filter(move |plugin| plugin.kind == kind);
    let has = |kind, name: &str| of_kind(kind).any(|plugin| is_named(plugin, name));
    let volumes = task.spec.container.mounts.iter().filter(|mount| mount.kind == MountKind::Volume);
    let mut drivers = volumes.filter_map(|mount| mount.volume.as_ref()?.driver.as_ref());
    let volume = |driver: &Driver| {
        matches!(driver.name.as_str(), "" | "local") || has("Volume", &driver.name)
    };
    let log = |driver: &Driver| {
        matches!(driver.name.as_str(), "" | "none")
            || of_kind("Log").next().is_none()
            || has("Log", &driver.name)
    };
    drivers.all(volume) && task.spec.log_driver.as_ref().is_none_or(log)
}

/// A plugin that was installed by hand says its tag, too.
fn is_named(plugin: &Plugin, name: &str) -> bool {
    plugin.name == name || plugin.name.strip_suffix(":latest") == Some(name)
}

/// What becomes less with every task placed.
pub(super) fn has_room(candidate: &Candidate, task: &Task, on_node: u32) -> Option<Refusal> {
    let (nano_cpus, memory) = reserved(task);
    let lacks = |wanted: i64, free: i64| wanted > 0 && wanted > free;
    if lacks(nano_cpus, candidate.free_nano_cpus) || lacks(memory, candidate.free_memory_bytes) {
        return Some(Refusal::Resources);
    }
    if host_ports(task).any(|port| candidate.host_ports.contains(&port)) {
        return Some(Refusal::HostPort);
    }
    let limit = task.spec.placement.as_ref().map_or(0, |placement| placement.max_replicas);
    if limit != 0 && u64::from(on_node) >= limit {
        return Some(Refusal::MaxReplicas);
    }
    None
}

/// Docker's words for a task that fits nowhere.
pub(super) fn explain(refusals: &[Refusal]) -> String {
    let mut counts: Vec<_> = Refusal::ALL
        .into_iter()
        .map(|refusal| (refusal, refusals.iter().filter(|one| **one == refusal).count()))
        .filter(|(_, count)| *count > 0)
        .collect();
    // The commonest reason first; the sort keeps the checks' order in ties.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let words: Vec<_> = counts.into_iter().map(|(refusal, count)| refusal.words(count)).collect();
    match words.is_empty() {
        true => "no suitable node".to_owned(),
        false => format!("no suitable node ({})", words.join("; ")),
    }
}

/// Nodes name processors as the kernel does or as Go does; an image may leave
/// out what does not matter.
fn runs_on(wanted: &Platform, machine: &Platform) -> bool {
    let os = wanted.os.is_empty() || wanted.os.eq_ignore_ascii_case(&machine.os);
    let architecture = wanted.architecture.is_empty()
        || processor(&wanted.architecture) == processor(&machine.architecture);
    os && architecture
}

fn processor(name: &str) -> &str {
    match name {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" | "armhf" => "arm",
        "i386" | "i686" | "x86" => "386",
        other => other,
    }
}
