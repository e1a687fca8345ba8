//! `shoal cluster ls`.

use anyhow::Result;
use clap::Args as ClapArgs;
use serde_json::json;

use super::state::{Home, NodeDir};
use crate::print::{Listing, Row, column};

/// List the clusters.
#[derive(Debug, ClapArgs)]
pub(super) struct List {
    /// `json`, or a template: `{{.Node}} {{.DockerHost}}`
    #[arg(long)]
    format: Option<String>,
}

impl List {
    pub(super) fn run(self, home: &Home) -> Result<()> {
        let mut rows = Vec::new();
        for plan in home.plans()? {
            for node in &plan.nodes {
                let dir = home.node(&plan, node);
                rows.push(Row::from_iter([
                    ("Cluster".to_owned(), json!(plan.name)),
                    ("Node".to_owned(), json!(node.name)),
                    ("Address".to_owned(), json!(node.address)),
                    ("Status".to_owned(), json!(status(&dir))),
                    ("DockerHost".to_owned(), json!(dir.docker_host())),
                ]));
            }
        }
        let listing = Listing {
            columns: vec![
                column("Cluster", "CLUSTER"),
                column("Node", "NODE"),
                column("Address", "ADDRESS"),
                column("Status", "STATUS"),
                column("DockerHost", "DOCKER_HOST"),
            ],
            rows,
            key: "Node",
        };
        listing.print(self.format.as_deref(), false)
    }
}

fn status(node: &NodeDir) -> &'static str {
    if node.init().is_some() { "running" } else { "stopped" }
}
