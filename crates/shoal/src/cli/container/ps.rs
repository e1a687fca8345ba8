//! `shoal ps`.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::super::shell::Shell;
use super::super::verbs::{Container, ListFlags, rows};
use crate::clock::now;
use crate::print::column;
use crate::print::words::{ago, created_at, ellipsis, items, short, text};

/// The width of a command in the table.
const COMMAND_WIDTH: usize = 20;

/// List containers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal ps -a                                       also those that do not run
  shoal ps -q --filter label=app=web                ids only
  shoal ps --format '{{.Names}}: {{.Status}}'")]
pub(in crate::cli) struct Ps {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    shown: ListFlags<Container>,
    /// The newest ones only
    #[arg(short = 'n', long, value_name = "NUMBER")]
    last: Option<i64>,
    /// The newest one only
    #[arg(short, long)]
    latest: bool,
    /// Do not cut anything
    #[arg(long)]
    no_trunc: bool,
    /// Show the disk space they use
    #[arg(short, long)]
    size: bool,
}

impl Ps {
    /// Lists them.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        let limit = if self.latest { Some(1) } else { self.last };
        let query = self
            .shown
            .query()?
            .with_flag("all", self.all)
            .with_some("limit", limit)
            .with_flag("size", self.size);
        let containers = shell.client.get("/containers/json", &query).await?;
        let rows = rows(&containers, |entry| fields(entry, self.no_trunc));
        let mut columns = vec![
            column("ID", "CONTAINER ID"),
            column("Image", "IMAGE"),
            column("Command", "COMMAND"),
            column("RunningFor", "CREATED"),
            column("Status", "STATUS"),
            column("Ports", "PORTS"),
            column("Names", "NAMES"),
        ];
        if self.size {
            columns.push(column("Size", "SIZE"));
        }
        self.shown.print(columns, rows, "ID")
    }
}

fn fields(entry: &Value, whole: bool) -> Value {
    let id = text(entry, "Id");
    let command = text(entry, "Command");
    let names: Vec<&str> = items(&entry["Names"])
        .map(|name| name.as_str().unwrap_or_default().trim_start_matches('/'))
        .collect();
    let networks: Vec<&String> = entry["NetworkSettings"]["Networks"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .collect();
    let mounts: Vec<&str> = items(&entry["Mounts"])
        .map(|mount| mount["Name"].as_str().or(mount["Source"].as_str()).unwrap_or_default())
        .collect();
    let volumes = items(&entry["Mounts"]).filter(|mount| mount["Type"] == "volume").count();
    let labels: Vec<String> = entry["Labels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    json!({
        "ID": if whole { id.to_owned() } else { short(id) },
        "Image": image(text(entry, "Image"), whole),
        "Command": format!("\"{}\"", if whole { command.to_owned() } else { ellipsis(command, COMMAND_WIDTH) }),
        "CreatedAt": created_at(&entry["Created"]),
        "RunningFor": ago(&entry["Created"], now()),
        "Status": text(entry, "Status"),
        "State": text(entry, "State"),
        "Ports": ports(&entry["Ports"]),
        "Names": names.join(","),
        "Networks": networks.into_iter().cloned().collect::<Vec<_>>().join(","),
        "Mounts": mounts.join(","),
        "Labels": labels.join(","),
        "LocalVolumes": volumes.to_string(),
        "Size": size(entry),
    })
}

fn image(name: &str, whole: bool) -> String {
    match name.strip_prefix("sha256:") {
        Some(_) if !whole => short(name),
        _ => name.to_owned(),
    }
}

fn size(entry: &Value) -> String {
    let bytes = |key: &str| entry[key].as_u64().map(shoal_model::units::human_size);
    match (bytes("SizeRw"), bytes("SizeRootFs")) {
        (Some(written), Some(total)) => format!("{written} (virtual {total})"),
        _ => "0B".to_owned(),
    }
}

/// `0.0.0.0:8080->80/tcp, 90/tcp`; neighbouring ports are put together.
pub(super) fn ports(ports: &Value) -> String {
    let mut shown: Vec<Range> = Vec::new();
    let mut ranges: Vec<Range> = items(ports).filter_map(Range::read).collect();
    ranges.sort();
    for next in ranges {
        match shown.last_mut() {
            Some(last) if last.joins(&next) => last.extend(&next),
            _ => shown.push(next),
        }
    }
    shown.iter().map(Range::show).collect::<Vec<_>>().join(", ")
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    protocol: String,
    ip: String,
    first: u64,
    last: u64,
    public: Option<(u64, u64)>,
}

impl Range {
    fn read(port: &Value) -> Option<Self> {
        let private = port["PrivatePort"].as_u64()?;
        let public = port["PublicPort"].as_u64();
        Some(Self {
            protocol: text(port, "Type").to_owned(),
            ip: text(port, "IP").to_owned(),
            first: private,
            last: private,
            public: public.map(|port| (port, port)),
        })
    }

    fn joins(&self, next: &Self) -> bool {
        let public = match (self.public, next.public) {
            (None, None) => true,
            (Some((_, last)), Some((first, _))) => last + 1 == first,
            _ => false,
        };
        self.protocol == next.protocol
            && self.ip == next.ip
            && self.last + 1 == next.first
            && public
    }

    fn extend(&mut self, next: &Self) {
        self.last = next.last;
        self.public = self.public.zip(next.public).map(|((first, _), (_, last))| (first, last));
    }

    fn show(&self) -> String {
        let range = |first: u64, last: u64| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        };
        let inside = format!("{}/{}", range(self.first, self.last), self.protocol);
        match self.public {
            Some((first, last)) => format!("{}:{}->{inside}", self.ip, range(first, last)),
            None => inside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_text() {
        let entry = json!({"Id": "0123456789abcdef", "Image": "busybox", "Created": 1_795_233_906,
            "Names": ["/a"], "Mounts": [{"Type": "volume", "Name": "data"}, {"Type": "bind"}]});
        let shown = fields(&entry, false);
        assert!(shown.as_object().expect("fields").values().all(Value::is_string), "{shown}");
        assert_eq!(shown["CreatedAt"], "2026-11-21 04:05:06 +0000 UTC");
        assert_eq!(shown["LocalVolumes"], "1");
    }

    #[test]
    fn ports_are_put_together() {
        let port = |private: u64, public: Option<u64>| {
            let mut port = json!({"PrivatePort": private, "Type": "tcp"});
            if let Some(public) = public {
                port["PublicPort"] = json!(public);
                port["IP"] = json!("0.0.0.0");
            }
            port
        };
        let all =
            json!([port(81, Some(8001)), port(80, Some(8000)), port(90, None), port(83, Some(9))]);
        assert_eq!(ports(&all), "90/tcp, 0.0.0.0:8000-8001->80-81/tcp, 0.0.0.0:9->83/tcp");
        assert_eq!(ports(&Value::Null), "");
    }
}
