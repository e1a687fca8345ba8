//! `shoal service ps`, and the list of tasks nodes share.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::super::node::capital;
use super::super::shell::Shell;
use super::list::without_digest;
use crate::client::{Filters, Query};
use crate::print::words::{ago, ellipsis, now, text};
use crate::print::{Listing, column};

/// The width of an error in the table.
const ERROR_WIDTH: usize = 32;

/// Show the tasks of services.
#[derive(Debug, Args)]
pub(super) struct Ps {
    #[command(flatten)]
    shown: TaskList,
    /// The services
    #[arg(required = true)]
    services: Vec<String>,
}

/// How tasks are listed.
#[derive(Debug, Args)]
pub(in crate::cli) struct TaskList {
    /// Only those that match: name=…, node=…, desired-state=running|shutdown
    #[arg(short, long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// json, table TEMPLATE, or a template
    #[arg(long)]
    format: Option<String>,
    /// Do not cut anything
    #[arg(long)]
    no_trunc: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
}

impl Ps {
    /// Lists them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let filters = self
            .services
            .iter()
            .fold(Filters::default(), |filters, name| filters.with("service", name));
        tasks(shell, &self.shown, filters).await
    }
}

/// Lists the tasks that filters let through.
///
/// # Errors
/// The daemon's refusals.
pub(in crate::cli) async fn tasks(
    shell: &Shell,
    shown: &TaskList,
    mut filters: Filters,
) -> Result<()> {
    filters.extend(Filters::parse(&shown.filter)?);
    let tasks = shell.client.get("/tasks", &Query::new().with_filters(&filters)).await?;
    let nodes = names(&shell.client.get("/nodes", &Query::new()).await?, |node| {
        text(&node["Description"], "Hostname")
    });
    let services = names(&shell.client.get("/services", &Query::new()).await?, |service| {
        text(&service["Spec"], "Name")
    });
    let mut tasks: Vec<&Value> = tasks.as_array().into_iter().flatten().collect();
    tasks.sort_by_cached_key(|task| {
        let service = services.get(text(task, "ServiceID")).cloned().unwrap_or_default();
        // The newest of a slot first, those it replaced below it.
        (service, task["Slot"].as_u64(), std::cmp::Reverse(text(task, "CreatedAt").to_owned()))
    });
    let mut before = String::new();
    let mut rows = Vec::new();
    for task in tasks {
        let name = name(task, &services);
        let shown_name = if name == before { format!(" \\_ {name}") } else { name.clone() };
        rows.extend(row(task, &shown_name, &nodes, shown).as_object().cloned());
        before = name;
    }
    let columns = vec![
        column("Shown", "ID"),
        column("Name", "NAME"),
        column("Image", "IMAGE"),
        column("Node", "NODE"),
        column("DesiredState", "DESIRED STATE"),
        column("CurrentState", "CURRENT STATE"),
        column("Error", "ERROR"),
        column("Ports", "PORTS"),
    ];
    Listing { columns, rows, key: "ID" }.print(shown.format.as_deref(), shown.quiet)
}

fn names(list: &Value, name: impl Fn(&Value) -> &str) -> BTreeMap<String, String> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|item| (text(item, "ID").to_owned(), name(item).to_owned()))
        .collect()
}

fn name(task: &Value, services: &BTreeMap<String, String>) -> String {
    let service = text(task, "ServiceID");
    let service = services.get(service).map_or(service, String::as_str);
    match task["Slot"].as_u64() {
        Some(slot) if slot > 0 => format!("{service}.{slot}"),
        _ => format!("{service}.{}", text(task, "NodeID")),
    }
}

fn row(task: &Value, name: &str, nodes: &BTreeMap<String, String>, shown: &TaskList) -> Value {
    let id = text(task, "ID");
    let node = text(task, "NodeID");
    let status = &task["Status"];
    let error = text(status, "Err");
    let image = text(&task["Spec"]["ContainerSpec"], "Image");
    let short = |text: &str| text.chars().take(12).collect::<String>();
    json!({
        "ID": id,
        "Shown": if shown.no_trunc { id.to_owned() } else { short(id) },
        "Name": name,
        "Image": if shown.no_trunc { image.to_owned() } else { without_digest(image) },
        "Node": nodes.get(node).map_or(node, String::as_str),
        "DesiredState": capital(text(task, "DesiredState")),
        "CurrentState": format!(
            "{} {}",
            capital(text(status, "State")),
            ago(&status["Timestamp"], now()).to_lowercase()
        ),
        "Error": match error {
            "" => String::new(),
            error if shown.no_trunc => format!("\"{error}\""),
            error => format!("\"{}\"", ellipsis(error, ERROR_WIDTH)),
        },
        "Ports": ports(&status["PortStatus"]["Ports"]),
    })
}

fn ports(ports: &Value) -> String {
    let port = |port: &Value| {
        format!("*:{}->{}/{}", port["PublishedPort"], port["TargetPort"], text(port, "Protocol"))
    };
    ports.as_array().into_iter().flatten().map(port).collect::<Vec<_>>().join(",")
}
