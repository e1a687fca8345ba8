//! `shoal service ls` and `inspect`.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::super::shell::{Shell, inspect};
use crate::client::{Filters, Query, segment};
use crate::print::words::text;
use crate::print::{Listing, column};

/// List services.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those that match: name=…, label=…, mode=…
    #[arg(short, long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// json, table TEMPLATE, or a template
    #[arg(long)]
    format: Option<String>,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
}

impl List {
    /// Lists them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let query = Query::new().with("status", 1).with_filters(&Filters::parse(&self.filter)?);
        let services = shell.client.get("/services", &query).await?;
        let mut rows: Vec<_> = services
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|service| row(service).as_object().cloned())
            .collect();
        rows.sort_by(|one, other| one["Name"].as_str().cmp(&other["Name"].as_str()));
        let columns = vec![
            column("Short", "ID"),
            column("Name", "NAME"),
            column("Mode", "MODE"),
            column("Replicas", "REPLICAS"),
            column("Image", "IMAGE"),
            column("Ports", "PORTS"),
        ];
        Listing { columns, rows, key: "ID" }.print(self.format.as_deref(), self.quiet)
    }
}

fn row(service: &Value) -> Value {
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
        "Short": id.chars().take(12).collect::<String>(),
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
    ports.as_array().into_iter().flatten().map(port).collect::<Vec<_>>().join(", ")
}

/// Show everything about services.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// json, or a template
    #[arg(short, long)]
    format: Option<String>,
    /// The services
    #[arg(required = true)]
    services: Vec<String>,
}

impl Inspect {
    /// Shows them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let get = async |name: &str| {
            shell.client.get(&format!("/services/{}", segment(name)), &Query::new()).await
        };
        inspect(&self.services, self.format.as_deref(), get).await
    }
}
