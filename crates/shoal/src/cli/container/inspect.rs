//! `shoal inspect` and `shoal port`.

use anyhow::{Result, bail};
use clap::Args;
use http::StatusCode;
use serde_json::Value;

use super::super::shell::{Shell, inspect};
use crate::client::{Query, Refusal, segment};
use crate::print;
use crate::print::words::text;

/// Show everything about containers, images, volumes, networks, ….
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal inspect web
  shoal inspect -f '{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web")]
pub(in crate::cli) struct Inspect {
    /// json, or a template
    #[arg(short, long)]
    format: Option<String>,
    /// Only objects of this sort: container, image, network, volume, node, service, task
    #[arg(long = "type", value_name = "SORT")]
    kind: Option<String>,
    /// Also tell the disk space containers use
    #[arg(short, long)]
    size: bool,
    /// What to show, by name or id
    #[arg(required = true)]
    names: Vec<String>,
}

/// Where each sort of object is found, in the order they are tried.
const SORTS: [(&str, &str, &str); 7] = [
    ("container", "/containers/", "/json"),
    ("image", "/images/", "/json"),
    ("network", "/networks/", ""),
    ("volume", "/volumes/", ""),
    ("node", "/nodes/", ""),
    ("service", "/services/", ""),
    ("task", "/tasks/", ""),
];

impl Inspect {
    /// Shows them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let kind = self.kind.as_deref();
        if let Some(kind) = kind
            && !SORTS.iter().any(|(name, ..)| *name == kind)
        {
            bail!("{kind:?} is not a valid value for --type");
        }
        let query = Query::new().with_flag("size", self.size);
        let get = async |name: &str| find(shell, name, kind, &query).await;
        inspect(&self.names, self.format.as_deref(), get).await
    }
}

async fn find(shell: &Shell, name: &str, kind: Option<&str>, query: &Query) -> Result<Value> {
    for (sort, before, after) in SORTS {
        if kind.is_some_and(|kind| kind != sort) {
            continue;
        }
        let path = format!("{before}{}{after}", segment(name));
        match shell.client.get(&path, query).await {
            Err(error) if kind.is_none() && is_elsewhere(&error) => {}
            found => return found,
        }
    }
    bail!("No such object: {name}")
}

/// Not here, or this node cannot say: another sort may have it.
fn is_elsewhere(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| {
        matches!(
            refusal.status,
            StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_REQUEST
        )
    })
}

/// Show a container's published ports.
#[derive(Debug, Args)]
pub(in crate::cli) struct Port {
    /// The container
    container: String,
    /// Only this one: 80 or 80/tcp
    port: Option<String>,
}

impl Port {
    /// Shows them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let path = format!("/containers/{}/json", segment(&self.container));
        let view = shell.client.get(&path, &Query::new()).await?;
        let wanted =
            self.port.map(|port| if port.contains('/') { port } else { format!("{port}/tcp") });
        let mut found = false;
        for (port, bindings) in view["NetworkSettings"]["Ports"].as_object().into_iter().flatten() {
            if wanted.as_ref().is_some_and(|wanted| wanted != port) {
                continue;
            }
            for binding in bindings.as_array().into_iter().flatten() {
                found = true;
                let address = format!("{}:{}", text(binding, "HostIp"), text(binding, "HostPort"));
                match &wanted {
                    Some(_) => print::line(address)?,
                    None => print::line(format_args!("{port} -> {address}"))?,
                }
            }
        }
        match wanted {
            Some(port) if !found => {
                bail!("no public port '{port}' published for {}", self.container)
            }
            _ => Ok(()),
        }
    }
}
