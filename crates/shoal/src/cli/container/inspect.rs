//! `shoal inspect` and `shoal port`.

use anyhow::{Result, bail};
use clap::Args;
use http::StatusCode;
use serde_json::Value;

use super::super::shell::Shell;
use super::super::verbs::{Container, KINDS, Object, inspect};
use crate::client::{Query, refused_with};
use crate::print;
use crate::print::words::{items, text};

/// Show everything about objects of any kind.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal inspect web
  shoal inspect -f '{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web")]
pub(in crate::cli) struct InspectAny {
    /// json, or a template
    #[arg(short, long)]
    format: Option<String>,
    /// Only objects of this kind: container, image, network, volume, node, service, task
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<String>,
    /// Also tell the disk space containers use
    #[arg(short, long)]
    size: bool,
    /// What to show, by name or id
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl InspectAny {
    /// Shows them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let kind = self.kind.as_deref();
        if let Some(kind) = kind
            && !KINDS.iter().any(|known| known.word == kind)
        {
            bail!("{kind:?} is not a valid value for --type");
        }
        let query = Query::new().with_flag("size", self.size);
        let get = async |name: &str| find(shell, name, kind, &query).await;
        inspect(&self.names, self.format.as_deref(), get).await
    }
}

async fn find(shell: &Shell, name: &str, kind: Option<&str>, query: &Query) -> Result<Value> {
    for known in KINDS.iter().filter(|known| kind.is_none_or(|kind| kind == known.word)) {
        match shell.client.get(&known.view_path(name), query).await {
            Err(error) if kind.is_none() && is_elsewhere(&error) => {}
            found => return found,
        }
    }
    bail!("No such object: {name}")
}

/// Not here, or this node cannot say: another kind may have it.
fn is_elsewhere(error: &anyhow::Error) -> bool {
    [StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_REQUEST]
        .iter()
        .any(|status| refused_with(error, *status))
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
        let path = Container::KIND.view_path(&self.container);
        let view = shell.client.get(&path, &Query::new()).await?;
        let wanted =
            self.port.map(|port| if port.contains('/') { port } else { format!("{port}/tcp") });
        let mut found = false;
        for (port, bindings) in view["NetworkSettings"]["Ports"].as_object().into_iter().flatten() {
            if wanted.as_ref().is_some_and(|wanted| wanted != port) {
                continue;
            }
            for binding in items(bindings) {
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
