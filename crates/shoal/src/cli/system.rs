//! The daemon itself: facts, events, disk use.

mod prune;

use anyhow::Result;
use clap::{Args, Subcommand};
use futures_util::StreamExt;
use http::Method;
use serde_json::{Value, json};
use shoal_model::{Timestamp, units::human_size};

use super::shell::Shell;
use super::verbs::{pretty, row, show};
use crate::client::{Filters, Query, documents, empty};
use crate::print::words::{items, text};
use crate::print::{self, Listing, Template, column};

/// The verbs that stand at the top.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show facts about the daemon and its machine
    Info(Info),
    /// Show the versions of the command line and the daemon
    Version(Version),
    /// Show what happens, as it happens
    Events(Events),
}

/// The verbs of the whole daemon.
#[derive(Debug, Subcommand)]
pub(super) enum Group {
    /// Show the disk space everything uses
    Df(DiskUse),
    /// Remove containers that do not run, and networks, images and build cache nobody uses
    Prune(prune::Prune),
    #[command(flatten)]
    Verb(Verb),
}

impl Verb {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Info(verb) => verb.run(shell).await,
            Self::Version(verb) => verb.run(shell).await,
            Self::Events(verb) => verb.run(shell).await,
        }
    }
}

impl Group {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Df(verb) => verb.run(shell).await,
            Self::Prune(verb) => verb.run(shell).await,
            Self::Verb(verb) => verb.run(shell).await,
        }
    }
}

/// Show facts about the daemon and its machine.
#[derive(Debug, Args)]
pub(super) struct Info {
    /// json, or a template
    #[arg(short, long)]
    format: Option<String>,
}

impl Info {
    async fn run(self, shell: &Shell) -> Result<()> {
        let info = shell.client.get("/info", &Query::new()).await?;
        if let Some(format) = &self.format {
            return show(&info, format);
        }
        let number = |key: &str| info[key].to_string();
        let mut lines = vec![
            ("Containers", number("Containers")),
            (" Running", number("ContainersRunning")),
            (" Paused", number("ContainersPaused")),
            (" Stopped", number("ContainersStopped")),
            ("Images", number("Images")),
            ("Server Version", text(&info, "ServerVersion").to_owned()),
            ("Storage Driver", text(&info, "Driver").to_owned()),
            ("Cgroup Version", text(&info, "CgroupVersion").to_owned()),
        ];
        let swarm = &info["Swarm"];
        lines.push(("Swarm", text(swarm, "LocalNodeState").to_owned()));
        if !text(swarm, "NodeID").is_empty() {
            lines.push((" NodeID", text(swarm, "NodeID").to_owned()));
            lines.push((" Is Manager", swarm["ControlAvailable"].to_string()));
            lines.push((" Node Address", text(swarm, "NodeAddr").to_owned()));
        }
        if swarm["ControlAvailable"] == true {
            lines.push((" Managers", swarm["Managers"].to_string()));
            lines.push((" Nodes", swarm["Nodes"].to_string()));
        }
        if !text(swarm, "Error").is_empty() {
            lines.push((" Error", text(swarm, "Error").to_owned()));
        }
        lines.extend([
            ("Kernel Version", text(&info, "KernelVersion").to_owned()),
            ("Operating System", text(&info, "OperatingSystem").to_owned()),
            ("Architecture", text(&info, "Architecture").to_owned()),
            ("CPUs", number("NCPU")),
            ("Total Memory", human_size(info["MemTotal"].as_u64().unwrap_or_default())),
            ("Name", text(&info, "Name").to_owned()),
            ("Root Dir", text(&info, "DockerRootDir").to_owned()),
        ]);
        for (key, value) in lines {
            print::line(format_args!("{key}: {value}"))?;
        }
        Ok(())
    }
}

/// Show the versions of the command line and the daemon.
#[derive(Debug, Args)]
pub(super) struct Version {
    /// json, or a template
    #[arg(short, long)]
    format: Option<String>,
}

impl Version {
    async fn run(self, shell: &Shell) -> Result<()> {
        let server = shell.client.get("/version", &Query::new()).await;
        let client = json!({
            "Version": env!("CARGO_PKG_VERSION"),
            "ApiVersion": "1.50",
            "Os": std::env::consts::OS,
            "Arch": std::env::consts::ARCH,
            "Host": shell.client.address().to_string(),
        });
        if let Some(format) = &self.format {
            let both = json!({ "Client": client, "Server": server? });
            return show(&both, format);
        }
        table("Client", &client, &["Version", "ApiVersion", "Os", "Arch", "Host"])?;
        let server = server?;
        print::line("")?;
        table(
            "Server",
            &server,
            &["Version", "ApiVersion", "MinAPIVersion", "Os", "Arch", "KernelVersion"],
        )
    }
}

fn table(title: &str, value: &Value, keys: &[&str]) -> Result<()> {
    print::line(format_args!("{title}: Shoal"))?;
    for key in keys {
        print::line(format_args!(" {:18}{}", format!("{key}:"), text(value, key)))?;
    }
    Ok(())
}

/// Show what happens, as it happens.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal events --filter type=container --filter event=die
  shoal events --since 10m --until 0s --format '{{json .}}'")]
pub(super) struct Events {
    /// Only those that match: type=…, event=…, container=…, image=…, label=…
    #[arg(short, long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// json, or a template
    #[arg(long)]
    format: Option<String>,
    /// Also what has happened since: a time, or 10m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Up to: a time, or 10m; 0s stops at the newest
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Events {
    async fn run(self, shell: &Shell) -> Result<()> {
        let query = Query::new()
            .with_some("since", self.since.as_ref())
            .with_some("until", self.until.as_ref())
            .with_filters(&Filters::parse(&self.filter)?);
        let template = match self.format.as_deref() {
            None | Some("json") => None,
            Some(format) => Some(Template::parse(format)?),
        };
        let response = shell.client.send(Method::GET, "/events", &query, empty(), &[]).await?;
        let mut events = documents(response);
        while let Some(event) = events.next().await {
            let event = event?;
            match (&template, &self.format) {
                (Some(template), _) => print::line(template.render(&event)?)?,
                (None, Some(_)) => print::line(&event)?,
                (None, None) => print::line(line(&event))?,
            }
        }
        Ok(())
    }
}

/// `TIME TYPE ACTION ID (name=value, …)`.
fn line(event: &Value) -> String {
    let time = Timestamp::from_nanos(event["timeNano"].as_i64().unwrap_or_default());
    let facts: Vec<String> = event["Actor"]["Attributes"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    let (kind, action) = (text(event, "Type"), text(event, "Action"));
    format!("{} {kind} {action} {}{facts}", time.rfc3339_nano_padded(), text(&event["Actor"], "ID"))
}

/// Show the disk space everything uses.
#[derive(Debug, Args)]
pub(super) struct DiskUse {
    /// Show each object
    #[arg(short, long)]
    verbose: bool,
    /// json, table TEMPLATE, or a template
    #[arg(long)]
    format: Option<String>,
}

impl DiskUse {
    async fn run(self, shell: &Shell) -> Result<()> {
        let answer = shell.client.get("/system/df", &Query::new()).await?;
        if self.verbose {
            return Ok(print::line(pretty(&answer)?)?);
        }
        let sum = |list: &str, key: &str| -> u64 {
            items(&answer[list]).filter_map(|entry| entry[key].as_u64()).sum()
        };
        let count = |list: &str| answer[list].as_array().map_or(0, Vec::len);
        let line = |kind: &str, count: usize, bytes: u64| {
            row(json!({ "Type": kind, "TotalCount": count, "Size": human_size(bytes) }))
        };
        let bytes = |key: &str| answer[key].as_u64().unwrap_or_default();
        let rows = vec![
            line("Images", count("Images"), bytes("LayersSize")),
            line("Containers", count("Containers"), sum("Containers", "SizeRw")),
            line("Local Volumes", count("Volumes"), 0),
            line("Build Cache", count("BuildCache"), bytes("BuilderSize")),
        ];
        let columns =
            vec![column("Type", "TYPE"), column("TotalCount", "TOTAL"), column("Size", "SIZE")];
        Listing { columns, rows, key: "Type" }.print(self.format.as_deref(), false)
    }
}
