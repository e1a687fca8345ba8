//! `shoal service ps`, and the list of tasks nodes share.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::super::shell::Shell;
use super::super::verbs::{ListFlags, Names, Service, Task, row};
use super::list::without_digest;
use crate::client::{Filters, Query};
use crate::clock::now;
use crate::print::column;
use crate::print::words::{ago, capital, ellipsis, items, short, text};

/// The width of an error in the table.
const ERROR_WIDTH: usize = 32;

/// Show the tasks of services.
#[derive(Debug, Args)]
pub(in crate::cli) struct Ps {
    #[command(flatten)]
    shown: TaskList,
    #[command(flatten)]
    services: Names<Service>,
}

/// How tasks are listed.
#[derive(Debug, Args)]
pub(in crate::cli) struct TaskList {
    #[command(flatten)]
    flags: ListFlags<Task>,
    /// Do not cut anything
    #[arg(long)]
    no_trunc: bool,
}

impl Ps {
    /// Lists them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let filters = self
            .services
            .names
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
    filters.extend(shown.flags.filters()?);
    let tasks = shell.client.get("/tasks", &Query::new().with_filters(&filters)).await?;
    let nodes = names(&shell.client.get("/nodes", &Query::new()).await?, |node| {
        text(&node["Description"], "Hostname")
    });
    let services = names(&shell.client.get("/services", &Query::new()).await?, |service| {
        text(&service["Spec"], "Name")
    });
    let mut tasks: Vec<&Value> = items(&tasks).collect();
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
        rows.push(row(fields(task, &shown_name, &nodes, shown.no_trunc)));
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
    shown.flags.print(columns, rows, "ID")
}

fn names(list: &Value, name: impl Fn(&Value) -> &str) -> BTreeMap<String, String> {
    items(list).map(|item| (text(item, "ID").to_owned(), name(item).to_owned())).collect()
}

fn name(task: &Value, services: &BTreeMap<String, String>) -> String {
    let service = text(task, "ServiceID");
    let service = services.get(service).map_or(service, String::as_str);
    match task["Slot"].as_u64() {
        Some(slot) if slot > 0 => format!("{service}.{slot}"),
        _ => format!("{service}.{}", text(task, "NodeID")),
    }
}

fn fields(task: &Value, name: &str, nodes: &BTreeMap<String, String>, whole: bool) -> Value {
    let id = text(task, "ID");
    let node = text(task, "NodeID");
    let status = &task["Status"];
    let error = text(status, "Err");
    let image = text(&task["Spec"]["ContainerSpec"], "Image");
    json!({
        "ID": id,
        "Shown": if whole { id.to_owned() } else { short(id) },
        "Name": name,
        "Image": if whole { image.to_owned() } else { without_digest(image) },
        "Node": nodes.get(node).map_or(node, String::as_str),
        "DesiredState": capital(text(task, "DesiredState")),
        "CurrentState": format!(
            "{} {}",
            capital(text(status, "State")),
            ago(&status["Timestamp"], now()).to_lowercase()
        ),
        "Error": match error {
            "" => String::new(),
            error if whole => format!("\"{error}\""),
            error => format!("\"{}\"", ellipsis(error, ERROR_WIDTH)),
        },
        "Ports": ports(&status["PortStatus"]["Ports"]),
    })
}

fn ports(ports: &Value) -> String {
    let port = |port: &Value| {
        format!("*:{}->{}/{}", port["PublishedPort"], port["TargetPort"], text(port, "Protocol"))
    };
    items(ports).map(port).collect::<Vec<_>>().join(",")
}
