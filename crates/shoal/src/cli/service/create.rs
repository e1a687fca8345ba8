//! `shoal service create`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use shoal_model::Reference;

use super::super::container::{environment, labels, pairs, read_mount, ulimits};
use super::super::shell::Shell;
use super::options::Options;
use super::progress;
use super::spec::{apply, port, tidy};
use crate::client::{Query, segment};
use crate::print;
use crate::print::words::{items, text};

/// Make a service.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal service create --name web --replicas 5 -p 8080:80 nginx
  shoal service create --name spider --network host registry.local:8003/spider:0.01
  shoal service create --name agent --mode global --constraint node.role==worker me/agent")]
pub(in crate::cli) struct Create {
    /// Name of the service
    #[arg(long)]
    name: Option<String>,
    /// A number of tasks, or one on each node; until they end, or for ever
    #[arg(long, default_value = "replicated", value_parser = ["replicated", "global", "replicated-job", "global-job"])]
    mode: String,
    /// Set an environment variable, or pass ours on
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Label of the service
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,
    /// Label of its containers
    #[arg(long, value_name = "NAME[=VALUE]")]
    container_label: Vec<String>,
    /// Network to join
    #[arg(long, value_name = "NETWORK")]
    network: Vec<String>,
    /// Publish a port
    #[arg(short, long, value_name = "[PORT:]PORT[/PROTOCOL]")]
    publish: Vec<String>,
    /// Mount a file system
    #[arg(long, value_name = "MOUNT")]
    mount: Vec<String>,
    /// Where tasks may run: node.role==worker, node.labels.disk!=hdd
    #[arg(long, value_name = "CONDITION")]
    constraint: Vec<String>,
    /// Where they would rather: spread=node.labels.zone
    #[arg(long, value_name = "PREFERENCE")]
    placement_pref: Vec<String>,
    /// A further group
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// A further line of /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS")]
    host_entry: Vec<String>,
    /// Name server
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// Search domain
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Set a resource limit
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,
    /// Set a kernel parameter
    #[arg(long, value_name = "NAME=VALUE")]
    sysctl: Vec<String>,
    #[command(flatten)]
    options: Options,
    /// The image
    image: String,
    /// Arguments for its program
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Create {
    /// Makes it, and waits until it has converged.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let mut spec = self.document()?;
        let auth = shell.registry_auth(&self.image)?;
        if !self.options.no_resolve_image {
            pin(shell, &mut spec, &auth).await;
        }
        let id = send(
            shell,
            "/services/create",
            Query::new(),
            &spec,
            self.options.with_registry_auth.then_some(&auth),
        )
        .await?;
        let id = text(&id, "ID");
        print::line(id)?;
        if self.options.detach {
            return Ok(());
        }
        progress::converge(shell, id, self.options.quiet).await
    }

    fn document(&self) -> Result<Value> {
        let spread = |text: &String| {
            let descriptor = text.strip_prefix("spread=").unwrap_or(text);
            json!({ "Spread": { "SpreadDescriptor": descriptor } })
        };
        let hosts = self.host_entry.iter().map(|entry| match entry.split_once(':') {
            Some((name, address)) => format!("{address} {name}"),
            None => entry.clone(),
        });
        let mut spec = json!({
            "Name": self.name.clone().unwrap_or_default(),
            "Labels": labels(&[], &self.label)?,
            "Mode": mode(&self.mode),
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": Reference::parse(&self.image)?.with_default_tag().familiar(),
                    "Args": list(&self.arguments),
                    "Env": list(&environment(&self.env_file, &self.env)?),
                    "Labels": labels(&[], &self.container_label)?,
                    "Groups": list(&self.group),
                    "Hosts": list(&hosts.collect::<Vec<_>>()),
                    "DNSConfig": { "Nameservers": list(&self.dns), "Search": list(&self.dns_search) },
                    "CapabilityAdd": list(&self.cap_add),
                    "CapabilityDrop": list(&self.cap_drop),
                    "Ulimits": ulimits(&self.ulimit)?,
                    "Sysctls": pairs(&self.sysctl),
                    "Mounts": self.mount.iter().map(|text| read_mount(text)).collect::<Result<Vec<_>>>()?,
                },
                "Placement": {
                    "Constraints": list(&self.constraint),
                    "Preferences": self.placement_pref.iter().map(spread).collect::<Vec<_>>(),
                },
                "Networks": self.network.iter().map(|name| json!({ "Target": name })).collect::<Vec<_>>(),
            },
            "EndpointSpec": {
                "Ports": self.publish.iter().map(|text| port(text)).collect::<Result<Vec<_>>>()?,
            },
        });
        apply(&self.options, &mut spec)?;
        tidy(&mut spec);
        Ok(spec)
    }
}

fn mode(mode: &str) -> Value {
    match mode {
        "global" => json!({ "Global": {} }),
        "replicated-job" => json!({ "ReplicatedJob": {} }),
        "global-job" => json!({ "GlobalJob": {} }),
        _ => json!({ "Replicated": { "Replicas": 1 } }),
    }
}

fn list(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

/// Sends a spec, with credentials if the nodes shall have them.
///
/// # Errors
/// The daemon's refusals.
pub(super) async fn send(
    shell: &Shell,
    path: &str,
    query: Query,
    spec: &Value,
    auth: Option<&String>,
) -> Result<Value> {
    let mut headers = Vec::new();
    if let Some(auth) = auth {
        headers.push(("x-registry-auth", auth.as_str()));
    }
    let answer = shell.client.post_with(path, &query, spec, &headers).await?;
    for warning in items(&answer["Warnings"]).filter_map(Value::as_str) {
        print::talk(warning);
    }
    Ok(answer)
}

/// Asks the registry for the digest, so that all nodes run the same image. An
/// image that cannot be looked up is used by its tag, as docker does.
pub(super) async fn pin(shell: &Shell, spec: &mut Value, auth: &str) {
    let image = text(&spec["TaskTemplate"]["ContainerSpec"], "Image").to_owned();
    let Ok(reference) = Reference::parse(&image) else { return };
    if reference.digest().is_some() {
        return;
    }
    let path = format!("/distribution/{}/json", segment(&image));
    let headers = [("x-registry-auth", auth)];
    let found = shell.client.get_with(&path, &Query::new(), &headers).await;
    let digest = found.ok().and_then(|found| text(&found["Descriptor"], "digest").parse().ok());
    match digest {
        Some(digest) => {
            let pinned = reference.with_digest(digest).familiar();
            spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(pinned);
        }
        None => print::talk(format_args!(
            "image {image} could not be accessed on a registry to record its digest. Each node will \
             access {image} independently, possibly leading to different nodes running different \
             versions of the image."
        )),
    }
}
