//! `shoal cluster rm`: everything goes, past errors, and each is told.

use anyhow::{Result, bail};
use clap::Args as ClapArgs;

use super::{cgroups, links::Links, nat, node, plan::Plan, state::Home};

/// Stop and remove a cluster with everything in it.
#[derive(Debug, ClapArgs)]
pub(super) struct Remove {
    /// The clusters
    #[arg(required = true)]
    names: Vec<String>,
}

impl Remove {
    pub(super) fn run(self, home: &Home) -> Result<()> {
        for name in self.names {
            remove(home, &home.plan(&name)?)?;
            crate::print::line(format_args!("{name}"))?;
        }
        Ok(())
    }
}

/// Removes what of a cluster is there, in the order that leaves nothing
/// running without its record: processes, links, rules, files.
pub(super) fn remove(home: &Home, plan: &Plan) -> Result<()> {
    let mut faults = Vec::new();
    for node in &plan.nodes {
        faults.extend(node::stop(plan, node, &home.node(plan, node)).err());
    }
    faults.extend(cgroups::remove(&plan.cgroup_root()).err());
    faults.extend(remove_links(plan).err());
    faults.extend(nat::remove(plan).err());
    faults.extend(give_forwarding_back(home, plan).err());
    if faults.is_empty() {
        // Only now: the record is what a second attempt goes by.
        return home.forget(&plan.name);
    }
    let texts: Vec<_> = faults.iter().map(|fault| format!("{fault:#}")).collect();
    bail!("cluster {} is not all removed: {}", plan.name, texts.join("; "))
}

/// Forwarding goes with the last cluster, if the first one turned it on.
fn give_forwarding_back(home: &Home, plan: &Plan) -> Result<()> {
    if !plan.turned_on_forwarding {
        return Ok(());
    }
    match home.plans()?.into_iter().find(|other| other.name != plan.name) {
        Some(mut heir) => {
            heir.turned_on_forwarding = true;
            home.write(&heir)
        }
        None => nat::set_forwarding(false),
    }
}

fn remove_links(plan: &Plan) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let links = Links::open()?;
        for node in &plan.nodes {
            links.remove(&node.link).await?;
        }
        links.remove(&plan.bridge()).await
    })
}
