//! From the host into a node: a process that joins the node's cgroups, leaves
//! the host's namespaces and starts the node's init in them.
//!
//! It runs as a program of its own because only a process with one thread can
//! leave its namespaces whole. It prints the init's process id and ends; the
//! init inherits its standard input and waits there for the word to go.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use clap::Args as ClapArgs;

use super::{cgroups, init::Init, state::NodeDir};

/// What a node needs to boot.
#[derive(Debug, ClapArgs)]
pub(super) struct Boot {
    /// The node's cgroup below the root of every hierarchy
    #[arg(long)]
    cgroup: String,
    #[command(flatten)]
    init: Init,
}

impl Boot {
    /// The command line that boots a node.
    pub(super) fn command(cgroup: &str, init: &Init) -> Result<Command> {
        let mut command = own_program()?;
        command.args(["cluster", "node-boot", "--cgroup", cgroup]).args(init.args());
        Ok(command)
    }

    pub(super) fn run(self) -> Result<()> {
        cgroups::enter(&self.cgroup)?;
        shoal_sys::unshare::Machine.unshare().context("cannot leave the host's namespaces")?;
        let log = NodeDir::at(self.init.dir.clone()).log();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let child = own_program()?
            .args(["cluster", "node-init"])
            .args(self.init.args())
            .stdin(Stdio::inherit())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start the node's init")?;
        crate::print::line(format_args!("{}", child.id()))?;
        Ok(())
    }
}

/// This program again. By the open file, not the path: an upgrade must not
/// mix two versions in one node.
fn own_program() -> Result<Command> {
    let path: PathBuf = std::env::current_exe().context("cannot find this program's file")?;
    Ok(Command::new(path))
}
