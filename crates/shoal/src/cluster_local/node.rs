//! Booting and stopping one node.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;
use http::Method;
use tokio::time::timeout;

use super::{
    boot::Boot,
    cgroups,
    init::Init,
    links::Links,
    plan::{NodePlan, Plan},
    state::{Home, NodeDir},
    wait::{LOOK_AGAIN, PATIENCE},
};
use crate::client::{Address, Client, Query, empty};

/// Boot a stopped node.
#[derive(Debug, ClapArgs)]
pub(super) struct Start {
    /// The cluster
    cluster: String,
    /// The node, by name or number
    node: String,
}

/// Stop a node at once.
#[derive(Debug, ClapArgs)]
pub(super) struct Stop {
    /// The cluster
    cluster: String,
    /// The node, by name or number
    node: String,
}

impl Start {
    pub(super) fn run(self, home: &Home) -> Result<()> {
        let plan = home.plan(&self.cluster)?;
        let node = plan.node(&self.node)?;
        let dir = home.node(&plan, node);
        if dir.init().is_some() {
            bail!("node {} is running", node.name);
        }
        boot(&plan, node, &dir)?;
        if let Err(error) = wait_for_answer(node, &dir) {
            // Its init would start the daemon for ever.
            if let Err(more) = stop(&plan, node, &dir) {
                crate::print::talk(format_args!("and stopping it failed: {more:#}"));
            }
            return Err(error);
        }
        crate::print::line(format_args!("{}", node.name))?;
        Ok(())
    }
}

impl Stop {
    pub(super) fn run(self, home: &Home) -> Result<()> {
        let plan = home.plan(&self.cluster)?;
        let node = plan.node(&self.node)?;
        stop(&plan, node, &home.node(&plan, node))?;
        crate::print::line(format_args!("{}", node.name))?;
        Ok(())
    }
}

/// Starts a node's init and its daemon; does not wait for it to answer.
pub(super) fn boot(plan: &Plan, node: &NodePlan, dir: &NodeDir) -> Result<()> {
    let booting = || format!("cannot boot node {}", node.name);
    dir.prepare()?;
    let init = Init {
        dir: dir.path().to_owned(),
        hostname: node.name.clone(),
        address: node.address,
        gateway: plan.gateway(),
        link: node.peer.clone(),
        cgroup_parent: format!("/{}/containers", plan.cgroup(node)),
        subnet: plan.subnet(),
        daemon_args: plan.daemon_args.clone(),
    };
    let mut boot = Boot::command(&format!("{}/node", plan.cgroup(node)), &init)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(booting)?;
    let mut line = String::new();
    let stdout = boot.stdout.take().with_context(booting)?;
    BufReader::new(stdout).read_line(&mut line).with_context(booting)?;
    let mut go = boot.stdin.take().with_context(booting)?;
    let status = boot.wait().with_context(booting)?;
    if !status.success() {
        bail!("cannot boot node {}: {status}", node.name);
    }
    let pid: i32 = line.trim().parse().with_context(booting)?;
    dir.set_init(pid)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Links::open()?.add_cable(plan, node, pid.unsigned_abs()).await })?;
    writeln!(go, "go").with_context(booting)
}

/// Stops a node and removes what the kernel does not remove with it.
pub(super) fn stop(plan: &Plan, node: &NodePlan, dir: &NodeDir) -> Result<()> {
    dir.kill()?;
    cgroups::remove(&plan.cgroup(node))
}

/// Waits until the node's daemon answers; fails with the daemon or its node.
pub(super) fn wait_for_answer(node: &NodePlan, dir: &NodeDir) -> Result<()> {
    let client = Client::new(Address::parse(&dir.docker_host(), None)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let none = Query::new();
    let answer = async {
        loop {
            // A daemon that is only just starting takes connections, and lets
            // them wait; one that ends meanwhile closes them.
            let ping = client.send(Method::GET, "/_ping", &none, empty(), &[]);
            if ping.await.is_ok() {
                return None;
            }
            if let Some(how) = dir.ended() {
                return Some(format!("its daemon ended with {how}"));
            }
            if dir.init().is_none() {
                return Some("its init ended".to_owned());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let fault = match runtime.block_on(async { timeout(PATIENCE, answer).await }) {
        Ok(None) => return Ok(()),
        Ok(Some(fault)) => fault,
        Err(_) => format!("nobody answered within {} s", PATIENCE.as_secs()),
    };
    bail!("node {} does not run: {fault}; its log ends with\n{}", node.name, dir.last_words())
}
