//! `shoal cluster`: several nodes on one machine.
//!
//! Each node is a little machine: its own network, mount, UTS, IPC and pid
//! namespace and its own cgroup subtree, with an init of ours as process 1
//! that runs the daemon. All nodes of a cluster sit on one private bridge and
//! are reachable by address from the host.
//!
//! ```text
//! host ── bridge shc0 10.89.0.1/24 ──┬── veth ── eth0 10.89.0.11  node 1: init ─ daemon ─ shims…
//!                                    ├── veth ── eth0 10.89.0.12  node 2
//!                                    └── …
//! ```
//!
//! What exists is written down before it is made (`cluster.json`), so that
//! `rm` cleans up after a `create` that was interrupted anywhere.

mod boot;
mod cgroups;
mod create;
mod exec;
mod init;
mod links;
mod list;
mod nat;
mod node;
mod plan;
mod remove;
mod state;
mod swarm;
mod wait;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};

/// Several nodes on one machine, for trying out and for tests.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  shoal cluster create demo --nodes 3        three nodes, joined to one swarm
  shoal cluster ls                           clusters, their nodes and addresses
  shoal cluster stop demo demo-3             pull the plug of one node
  shoal cluster start demo demo-3            and boot it again
  shoal cluster exec demo demo-2 -- ps       run a command inside a node
  shoal cluster rm demo                      remove it all")]
pub(crate) struct Args {
    /// Where clusters are kept
    #[arg(
        long,
        global = true,
        env = "SHOAL_CLUSTERS",
        default_value = "/var/lib/shoal-clusters",
        value_name = "DIRECTORY"
    )]
    clusters: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a cluster and wait until its nodes answer
    Create(create::Create),
    /// List the clusters
    #[command(visible_alias = "list")]
    Ls(list::List),
    /// Stop and remove a cluster with everything in it
    #[command(visible_alias = "delete")]
    Rm(remove::Remove),
    /// Stop a node at once, as a power failure would
    Stop(node::Stop),
    /// Boot a stopped node
    Start(node::Start),
    /// Run a command inside a node's namespaces
    Exec(exec::Exec),
    /// Leave the host's namespaces and start a node's init
    #[command(hide = true)]
    NodeBoot(boot::Boot),
    /// Be process 1 of a node
    #[command(hide = true)]
    NodeInit(init::Init),
}

/// Runs a verb. To be called while this process has one thread: a node's boot
/// leaves its namespaces.
pub(crate) fn run(args: Args) -> Result<()> {
    let home = state::Home::new(args.clusters);
    match args.verb {
        Verb::Create(verb) => verb.run(&home),
        Verb::Ls(verb) => verb.run(&home),
        Verb::Rm(verb) => verb.run(&home),
        Verb::Stop(verb) => verb.run(&home),
        Verb::Start(verb) => verb.run(&home),
        Verb::Exec(verb) => verb.run(&home),
        Verb::NodeBoot(verb) => verb.run(),
        Verb::NodeInit(verb) => verb.run(),
    }
}
