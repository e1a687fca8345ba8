//! The way out: nodes reach other networks with the host's address.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::plan::Plan;

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Translates the cluster's addresses for everything but its own bridge, and
/// lets the host forward. Adding it twice is adding it once.
pub(super) fn add(plan: &Plan) -> Result<()> {
    nft(&rules(plan))?;
    set_forwarding(true)
}

/// Takes the translation away.
pub(super) fn remove(plan: &Plan) -> Result<()> {
    // "add" first: deleting what is not there would be an error.
    nft(&format!("add table ip {0}\ndelete table ip {0}\n", plan.table()))
}

/// Whether the host forwards packets.
pub(super) fn forwards() -> bool {
    fs::read_to_string(FORWARDING).is_ok_and(|text| text.trim() == "1")
}

/// Lets the host forward packets, or not.
pub(super) fn set_forwarding(on: bool) -> Result<()> {
    let text = if on { "1" } else { "0" };
    fs::write(FORWARDING, text).context("cannot change whether this host forwards packets")
}

fn rules(plan: &Plan) -> String {
    let (table, subnet, bridge) = (plan.table(), plan.subnet(), plan.bridge());
    format!(
        "add table ip {table}\n\
         delete table ip {table}\n\
         table ip {table} {{\n\
         \x20 chain postrouting {{\n\
         \x20   type nat hook postrouting priority srcnat; policy accept;\n\
         \x20   ip saddr {subnet} oifname != \"{bridge}\" masquerade\n\
         \x20 }}\n\
         }}\n"
    )
}

fn nft(script: &str) -> Result<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run nft; install the package nftables")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).context("nft took no rules")?;
    }
    let output = child.wait_with_output().context("nft did not end")?;
    if !output.status.success() {
        bail!(
            "nft refused the cluster's rules: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules() {
        let plan = Plan::new("demo", 1, &[]).unwrap();
        assert_eq!(
            rules(&plan),
            r#"add table ip shoal_cluster_0
delete table ip shoal_cluster_0
table ip shoal_cluster_0 {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 10.89.0.0/24 oifname != "shc0" masquerade
  }
}
"#
        );
    }
}
