//! `shoal cluster exec`: a command inside a node.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;

use super::state::Home;

/// Run a command inside a node's namespaces.
#[derive(Debug, ClapArgs)]
pub(super) struct Exec {
    /// The cluster
    cluster: String,
    /// The node, by name or number
    node: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Exec {
    pub(super) fn run(self, home: &Home) -> Result<()> {
        let plan = home.plan(&self.cluster)?;
        let node = plan.node(&self.node)?;
        let Some(init) = home.node(&plan, node).init() else {
            bail!(
                "node {} is stopped; start it with `shoal cluster start {} {}`",
                node.name,
                plan.name,
                node.name
            );
        };
        let status = Command::new("nsenter")
            .args(["--target", &init.as_raw_nonzero().to_string()])
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--"])
            .args(&self.command)
            .status()
            .context("cannot run nsenter; install the package util-linux")?;
        std::process::exit(status.code().unwrap_or(1));
    }
}
