//! `shoal service ls`.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::super::shell::Shell;
use super::super::verbs::{ListFlags, Service, rows};
use crate::print::column;
use crate::print::words::{items, short, text};

/// List services.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    shown: ListFlags<Service>,
}

impl List {
    /// Lists them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let query = self.shown.query()?.with("status", 1);
        let services = shell.client.get("/services", &query).await?;
        let mut rows = rows(&services, fields);
        rows.sort_by(|one, other| one["Name"].as_str().cmp(&other["Name"].as_str()));
        let columns = vec![
            column("Short", "ID"),
            column("Name", "NAME"),
            column("Mode", "MODE"),
            column("Replicas", "REPLICAS"),
            column("Image", "IMAGE"),
            column("Ports", "PORTS"),
        ];
        self.shown.print(columns, rows, "ID")
    }
}

fn fields(service: &Value) -> Value {
    let spec = &service["Spec"];
    let mode = spec["Mode"].as_object().and_then(|mode| mode.keys().next());
    let mode = match mode.map(String::as_str) {
        Some("Global") => "global",
        Some("ReplicatedJob") => "replicated job",
        Some("GlobalJob") => "global job",
        _ => "replicated",
    };
    let status = &service["ServiceStatus"];
    let id = text(service, "ID");
    json!({
        "ID": id,
        "Short": short(id),
        "Name": text(spec, "Name"),
        "Mode": mode,
        "Replicas": format!("{}/{}", status["RunningTasks"], status["DesiredTasks"]),
        "Image": without_digest(text(&spec["TaskTemplate"]["ContainerSpec"], "Image")),
        "Ports": ports(&service["Endpoint"]["Ports"]),
    })
}

/// A name with a tag stands for its digest.
pub(super) fn without_digest(image: &str) -> String {
    match image.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => image.to_owned(),
    }
}

fn ports(ports: &Value) -> String {
    let port = |port: &Value| {
        let (target, protocol) = (&port["TargetPort"], text(port, "Protocol"));
        match port["PublishedPort"].as_u64() {
            Some(published) => format!("*:{published}->{target}/{protocol}"),
            None => format!("{target}/{protocol}"),
        }
    };
    items(ports).map(port).collect::<Vec<_>>().join(", ")
}
