//! `shoal cluster create`.

use std::{
    io::{self, ErrorKind},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
};

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;
use tokio::runtime::Runtime;

use super::{
    cgroups, links::Links, nat, node, plan::Plan, remove, state::Home, swarm, wait::wait_until,
};

/// Make a cluster and wait until its nodes answer.
#[derive(Debug, ClapArgs)]
pub(super) struct Create {
    /// Name of the cluster; its nodes are NAME-1, NAME-2, …
    name: String,
    /// How many nodes
    #[arg(long, short, default_value_t = 3, value_name = "NUMBER")]
    nodes: u8,
    /// Leave the nodes alone instead of joining them to one swarm
    #[arg(long)]
    no_swarm: bool,
    /// Further arguments for each node's daemon
    #[arg(last = true)]
    daemon_args: Vec<String>,
}

impl Create {
    pub(super) fn run(self, home: &Home) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let turn = turn()?;
        let mut taken: Vec<_> = home.plans()?.iter().map(|plan| plan.index).collect();
        taken.extend(runtime.block_on(async { Links::open()?.taken().await })?);
        let mut plan = Plan::new(&self.name, self.nodes, &taken)?;
        plan.turned_on_forwarding = !nat::forwards();
        plan.daemon_args.clone_from(&self.daemon_args);
        refuse_shared_cgroup(home, &plan)?;
        home.add(&plan)?;
        let made = boot(home, &plan, &runtime).and_then(|()| {
            drop(turn);
            self.join(home, &plan, &runtime)
        });
        if let Err(error) = made {
            // Half a cluster is of no use to anybody.
            if let Err(more) = remove::remove(home, &plan) {
                crate::print::talk(format_args!("and cleaning up failed: {more:#}"));
            }
            return Err(error);
        }
        for node in &plan.nodes {
            let docker_host = home.node(&plan, node).docker_host();
            crate::print::line(format_args!("{}\t{}\t{docker_host}", node.name, node.address))?;
        }
        let first = home.node(&plan, &plan.nodes[0]).docker_host();
        crate::print::talk(format_args!(
            "\nUse it with any Docker client:\n  export DOCKER_HOST={first}"
        ));
        Ok(())
    }

    fn join(&self, home: &Home, plan: &Plan, runtime: &Runtime) -> Result<()> {
        for node in &plan.nodes {
            node::wait_for_answer(node, &home.node(plan, node))?;
        }
        if !self.no_swarm {
            runtime.block_on(swarm::form(home, plan)).context("cannot form the swarm")?;
        }
        Ok(())
    }
}

/// Makes the network and starts the nodes.
fn boot(home: &Home, plan: &Plan, runtime: &Runtime) -> Result<()> {
    runtime.block_on(async { Links::open()?.add_bridge(plan).await })?;
    nat::add(plan)?;
    plan.nodes.iter().try_for_each(|node| node::boot(plan, node, &home.node(plan, node)))
}

/// Waits until nobody else chooses a number and makes what goes by it: two
/// creations with one number would remove each other's links. An abstract
/// socket's name is one in a network namespace, as links are, and ends with
/// its holder.
fn turn() -> Result<UnixListener> {
    let name = SocketAddr::from_abstract_name("shoal-cluster-create")?;
    let mut turn = UnixListener::bind_addr(&name);
    let taken = |turn: &io::Result<_>| {
        turn.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    wait_until("another cluster's creation", || {
        if taken(&turn) {
            turn = UnixListener::bind_addr(&name);
        }
        !taken(&turn)
    })?;
    turn.context("cannot take the turn to create a cluster")
}

/// Cgroups go by the cluster's name alone: nodes of two clusters would share
/// theirs, and fall with the first of the two that is removed.
fn refuse_shared_cgroup(home: &Home, plan: &Plan) -> Result<()> {
    let (name, cgroup) = (&plan.name, plan.cgroup_root());
    // One of this folder is refused in better words.
    if home.plan(name).is_err() && cgroups::in_use(&cgroup)? {
        bail!(
            "cgroup {cgroup} is in use: a cluster {name} runs that is not kept in {}; take another \
             name, or remove it with `shoal cluster --clusters DIRECTORY rm {name}`",
            home.path().display()
        );
    }
    Ok(())
}
