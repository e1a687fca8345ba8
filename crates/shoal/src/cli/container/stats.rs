//! `shoal top` and `shoal stats`.

use std::io::IsTerminal;

use anyhow::Result;
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use serde_json::{Value, json};
use shoal_model::units::human_size;

use super::super::shell::Shell;
use super::super::verbs::row;
use crate::client::{Query, segment};
use crate::print::words::{items, short, text};
use crate::print::{self, Listing, column};

/// Show the processes of a container.
#[derive(Debug, Args)]
pub(in crate::cli) struct Top {
    /// The container
    container: String,
    /// Options of ps(1)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

impl Top {
    /// Shows them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let query = match self.options.join(" ") {
            options if options.is_empty() => Query::new(),
            options => Query::new().with("ps_args", options),
        };
        let path = format!("/containers/{}/top", segment(&self.container));
        let answer = shell.client.get(&path, &query).await?;
        let words = |list: &Value| -> Vec<String> {
            items(list).map(|word| word.as_str().unwrap_or_default().to_owned()).collect()
        };
        let mut table = vec![words(&answer["Titles"])];
        table.extend(items(&answer["Processes"]).map(words));
        Ok(print::bytes(print::align(&table).as_bytes())?)
    }
}

/// Show what containers use, live.
#[derive(Debug, Args)]
pub(in crate::cli) struct Stats {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// Once instead of live
    #[arg(long)]
    no_stream: bool,
    /// json, table TEMPLATE, or a template
    #[arg(long)]
    format: Option<String>,
    /// Containers; all that run if none is named
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Stats {
    /// Shows them until interrupted.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        loop {
            let listing = self.read(shell).await?;
            let text = listing.render(self.format.as_deref(), false)?;
            if !self.no_stream && std::io::stdout().is_terminal() {
                print::bytes(b"\x1b[2J\x1b[H")?;
            }
            print::bytes(text.as_bytes())?;
            if self.no_stream {
                return Ok(());
            }
        }
    }

    async fn read(&self, shell: &Shell) -> Result<Listing> {
        let names = match self.containers.as_slice() {
            [] => all(shell, self.all).await?,
            names => names.to_vec(),
        };
        let readings: FuturesOrdered<_> = names
            .iter()
            .map(|name| {
                let path = format!("/containers/{}/stats", segment(name));
                let query = Query::new().with("stream", 0);
                async move { shell.client.get(&path, &query).await }
            })
            .collect();
        let readings: Vec<Result<Value>> = readings.collect().await;
        let mut rows = Vec::new();
        for reading in readings {
            rows.push(row(fields(&reading?)));
        }
        let columns = vec![
            column("ID", "CONTAINER ID"),
            column("Name", "NAME"),
            column("CPUPerc", "CPU %"),
            column("MemUsage", "MEM USAGE / LIMIT"),
            column("MemPerc", "MEM %"),
            column("NetIO", "NET I/O"),
            column("PIDs", "PIDS"),
        ];
        Ok(Listing { columns, rows, key: "ID" })
    }
}

async fn all(shell: &Shell, stopped: bool) -> Result<Vec<String>> {
    let list =
        shell.client.get("/containers/json", &Query::new().with_flag("all", stopped)).await?;
    Ok(items(&list).map(|entry| text(entry, "Id").to_owned()).collect())
}

fn fields(stats: &Value) -> Value {
    let usage = memory(&stats["memory_stats"]);
    let limit = stats["memory_stats"]["limit"].as_u64().unwrap_or_default();
    let (mut received, mut sent) = (0, 0);
    for (_, counters) in stats["networks"].as_object().into_iter().flatten() {
        received += counters["rx_bytes"].as_u64().unwrap_or_default();
        sent += counters["tx_bytes"].as_u64().unwrap_or_default();
    }
    json!({
        "ID": short(text(stats, "id")),
        "Container": short(text(stats, "id")),
        "Name": text(stats, "name").trim_start_matches('/'),
        "CPUPerc": format!("{:.2}%", processors(stats)),
        "MemUsage": format!("{} / {}", human_size(usage), human_size(limit)),
        "MemPerc": format!("{:.2}%", percent(usage, limit)),
        "NetIO": format!("{} / {}", human_size(received), human_size(sent)),
        "PIDs": stats["pids_stats"]["current"].as_u64().unwrap_or_default(),
    })
}

/// Docker's rule: without the page cache that can be dropped.
fn memory(stats: &Value) -> u64 {
    let usage = stats["usage"].as_u64().unwrap_or_default();
    let cache = ["total_inactive_file", "inactive_file"]
        .iter()
        .find_map(|key| stats["stats"][key].as_u64());
    usage.saturating_sub(cache.filter(|cache| *cache < usage).unwrap_or_default())
}

#[expect(clippy::cast_precision_loss, reason = "a percentage with two digits")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

/// Percent of one processor between the two readings.
fn processors(stats: &Value) -> f64 {
    let used = |part: &str| stats[part]["cpu_usage"]["total_usage"].as_u64().unwrap_or_default();
    let system = |part: &str| stats[part]["system_cpu_usage"].as_u64().unwrap_or_default();
    let online = stats["cpu_stats"]["online_cpus"].as_u64().unwrap_or(1);
    let used = used("cpu_stats").saturating_sub(used("precpu_stats"));
    let system = system("cpu_stats").saturating_sub(system("precpu_stats"));
    percent(used.saturating_mul(online), system)
}
