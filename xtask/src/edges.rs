//! The edges between crates are the design's invariants: this holds them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::run;

/// What each crate may depend on within the workspace. A crate that is not
/// here may depend on all.
const ALLOWED: &[(&str, &[&str])] = &[
    ("shoal-model", &[]),
    ("shoal-sys", &[]),
    ("shoal-image", &["shoal-model", "shoal-sys"]),
    ("shoal-runtime", &["shoal-model", "shoal-sys"]),
    ("shoal-network", &["shoal-model", "shoal-sys"]),
    (
        "shoal-engine",
        &["shoal-model", "shoal-sys", "shoal-image", "shoal-runtime", "shoal-network"],
    ),
    ("shoal-build", &["shoal-model", "shoal-sys", "shoal-image"]),
    ("shoal-cluster", &["shoal-model"]),
    ("shoal-node", &["shoal-model", "shoal-cluster"]),
    (
        "shoal-server",
        &[
            "shoal-model",
            "shoal-image",
            "shoal-network",
            "shoal-engine",
            "shoal-build",
            "shoal-cluster",
            "shoal-node",
        ],
    ),
];

/// The pure crates, and what they must never reach, however far down.
const PURE: &[&str] = &["shoal-model", "shoal-cluster"];
const IMPURE: &[&str] =
    &["tokio", "time", "chrono", "rand", "getrandom", "rustix", "nix", "tempfile", "mio"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dep>,
}

#[derive(Deserialize)]
struct Dep {
    pkg: String,
    dep_kinds: Vec<DepKind>,
}

#[derive(Deserialize)]
struct DepKind {
    kind: Option<String>,
}

/// The normal dependencies of every package, by name.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Fails, naming each edge, when a crate depends on what it must not know.
pub(crate) fn check() -> Result<()> {
    let text = run::cargo(["metadata", "--format-version", "1"]).output()?;
    let metadata = serde_json::from_str(&text).context("cargo metadata printed something else")?;
    let faults = faults(&graph(metadata));
    if faults.is_empty() {
        println!("the edges between crates are those of the design");
        return Ok(());
    }
    bail!("edges against the design:\n  {}", faults.join("\n  "));
}

fn graph(metadata: Metadata) -> Graph {
    let names: BTreeMap<_, _> = metadata.packages.into_iter().map(|p| (p.id, p.name)).collect();
    let name = |id: &str| names.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let normal = |dep: &Dep| dep.dep_kinds.iter().any(|k| k.kind.is_none());
    metadata
        .resolve
        .nodes
        .iter()
        .map(|n| (name(&n.id), n.deps.iter().filter(|d| normal(d)).map(|d| name(&d.pkg)).collect()))
        .collect()
}

fn faults(graph: &Graph) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, allowed) in ALLOWED {
        for dep in graph.get(*name).into_iter().flatten() {
            if (dep.starts_with("shoal")) && !allowed.contains(&dep.as_str()) {
                faults.push(format!("{name} must not know {dep}"));
            }
        }
    }
    for name in PURE {
        for dep in reachable(graph, name) {
            if IMPURE.contains(&dep.as_str()) {
                faults.push(format!("{name} is pure and must not reach {dep}"));
            }
        }
    }
    faults
}

fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        for dep in graph.get(&name).into_iter().flatten() {
            if seen.insert(dep.clone()) {
                open.push(dep.clone());
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*from).into()).or_default().insert((*to).into());
        }
        graph
    }

    #[test]
    fn an_edge_against_the_design_is_named() {
        let graph = graph(&[("shoal-runtime", "shoal-image"), ("shoal-engine", "shoal-image")]);
        assert_eq!(faults(&graph), ["shoal-runtime must not know shoal-image"]);
    }

    #[test]
    fn the_pure_core_is_watched_however_far_down() {
        let graph = graph(&[("shoal-cluster", "x"), ("x", "y"), ("y", "tokio")]);
        assert_eq!(faults(&graph), ["shoal-cluster is pure and must not reach tokio"]);
    }
}
