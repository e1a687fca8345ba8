//! `shoal service inspect`.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::Value;
use shoal_model::units::format_go_duration;

use super::super::shell::Shell;
use super::super::verbs::{Inspect, Object, Service, each};
use crate::client::Query;
use crate::print::words::{binary_size, items, text};

/// Show everything about services.
#[derive(Debug, Args)]
pub(in crate::cli) struct InspectService {
    /// Show what matters, for people
    #[arg(long, conflicts_with = "format")]
    pretty: bool,
    #[command(flatten)]
    documents: Inspect<Service>,
}

impl InspectService {
    /// Shows them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        if !self.pretty {
            return self.documents.run(shell).await;
        }
        each(&self.documents.objects.names, async |name| {
            let path = Service::KIND.view_path(name);
            Ok(pretty(&shell.client.get(&path, &Query::new()).await?))
        })
        .await
    }
}

/// A service as docker shows it to people. Pure.
fn pretty(service: &Value) -> String {
    let mut out = Page::default();
    let spec = &service["Spec"];
    let task = &spec["TaskTemplate"];
    out.line("", "ID", text(service, "ID"));
    out.line("", "Name", text(spec, "Name"));
    out.pairs("Labels", &spec["Labels"]);
    mode(&mut out, &spec["Mode"]);
    let status = &service["UpdateStatus"];
    if !text(status, "State").is_empty() {
        out.title("UpdateStatus");
        for (word, key) in [("State", "State"), ("Started", "StartedAt"), ("Message", "Message")] {
            out.line(" ", word, text(status, key));
        }
    }
    out.title("Placement");
    out.list(" ", "Constraints", &task["Placement"]["Constraints"]);
    for title in ["UpdateConfig", "RollbackConfig"] {
        roll_out(&mut out, title, &spec[title]);
    }
    container(&mut out, &task["ContainerSpec"]);
    out.title("Resources");
    for title in ["Reservations", "Limits"] {
        resources(&mut out, title, &task["Resources"][title]);
    }
    let networks = items(&task["Networks"]).map(|network| text(network, "Target"));
    out.line("", "Networks", &networks.collect::<Vec<_>>().join(" "));
    out.line("", "Endpoint Mode", text(&service["Endpoint"]["Spec"], "Mode"));
    ports(&mut out, &service["Endpoint"]["Ports"]);
    out.0.trim_end().to_owned()
}

fn mode(out: &mut Page, mode: &Value) {
    let words = [
        ("Replicated", "Replicated"),
        ("Global", "Global"),
        ("ReplicatedJob", "ReplicatedJob"),
        ("GlobalJob", "GlobalJob"),
    ];
    for (key, word) in words {
        let Some(mode) = mode.get(key) else { continue };
        out.line("", "Service Mode", word);
        for (word, key) in [
            ("Replicas", "Replicas"),
            ("Max Concurrent", "MaxConcurrent"),
            ("Total Completions", "TotalCompletions"),
        ] {
            out.number(" ", word, &mode[key]);
        }
    }
}

fn roll_out(out: &mut Page, title: &str, config: &Value) {
    if !config.is_object() {
        return;
    }
    out.title(title);
    out.number(" ", "Parallelism", &config["Parallelism"]);
    out.time(" ", "Delay", &config["Delay"]);
    out.line(" ", "On failure", text(config, "FailureAction"));
    out.time(" ", "Monitoring Period", &config["Monitor"]);
    out.number(" ", "Max failure ratio", &config["MaxFailureRatio"]);
    out.line(" ", "Order", text(config, "Order"));
}

fn container(out: &mut Page, container: &Value) {
    out.title("ContainerSpec");
    out.line(" ", "Image", text(container, "Image"));
    for (word, key) in [("Command", "Command"), ("Args", "Args"), ("Env", "Env")] {
        out.list(" ", word, &container[key]);
    }
    for (word, key) in [("Dir", "Dir"), ("User", "User"), ("Hostname", "Hostname")] {
        out.line(" ", word, text(container, key));
    }
    if items(&container["Mounts"]).next().is_some() {
        out.title("Mounts");
        for mount in items(&container["Mounts"]) {
            for key in ["Target", "Source", "Type"] {
                out.line(" ", key, text(mount, key));
            }
        }
    }
}

fn resources(out: &mut Page, title: &str, resources: &Value) {
    let nano_cpus = resources["NanoCPUs"].as_f64().filter(|cpus| *cpus > 0.0);
    let memory = resources["MemoryBytes"].as_u64().filter(|bytes| *bytes > 0);
    if nano_cpus.is_none() && memory.is_none() {
        return;
    }
    out.title(&format!(" {title}"));
    if let Some(nanos) = nano_cpus {
        out.line("  ", "CPU", &(nanos / 1e9).to_string());
    }
    if let Some(bytes) = memory {
        out.line("  ", "Memory", &binary_size(bytes));
    }
}

fn ports(out: &mut Page, ports: &Value) {
    if items(ports).next().is_none() {
        return;
    }
    out.title("Ports");
    for port in items(ports) {
        let number = |key: &str| port[key].as_u64().unwrap_or_default();
        out.text(&format!(" PublishedPort = {}", number("PublishedPort")));
        out.text(&format!("  Protocol = {}", text(port, "Protocol")));
        out.text(&format!("  TargetPort = {}", number("TargetPort")));
        out.text(&format!("  PublishMode = {}", text(port, "PublishMode")));
    }
}

/// Lines for people; a value that is not there has none.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn text(&mut self, text: &str) {
        // Writing to a text does not fail.
        let _ = writeln!(self.0, "{text}");
    }

    fn title(&mut self, title: &str) {
        self.text(&format!("{title}:"));
    }

    fn line(&mut self, indent: &str, word: &str, value: &str) {
        if !value.is_empty() {
            self.text(&format!("{:<20}{value}", format!("{indent}{word}:")));
        }
    }

    fn number(&mut self, indent: &str, word: &str, value: &Value) {
        if value.is_number() {
            self.line(indent, word, &value.to_string());
        }
    }

    fn time(&mut self, indent: &str, word: &str, nanos: &Value) {
        if let Some(nanos) = nanos.as_u64().filter(|nanos| *nanos > 0) {
            self.line(indent, word, &format_go_duration(Duration::from_nanos(nanos)));
        }
    }

    fn list(&mut self, indent: &str, word: &str, list: &Value) {
        let words: Vec<_> = items(list).filter_map(Value::as_str).collect();
        self.line(indent, word, &words.join(" "));
    }

    fn pairs(&mut self, title: &str, pairs: &Value) {
        let Some(pairs) = pairs.as_object().filter(|pairs| !pairs.is_empty()) else { return };
        self.title(title);
        for (key, value) in pairs {
            self.text(&format!(" {key}={}", value.as_str().unwrap_or_default()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_for_people() {
        let service = json!({
            "ID": "abc",
            "Spec": {
                "Name": "web",
                "Labels": {"tier": "front"},
                "Mode": {"Replicated": {"Replicas": 3}},
                "UpdateConfig": {"Parallelism": 2, "Delay": 10_000_000_000_u64, "Order": "start-first"},
                "TaskTemplate": {
                    "ContainerSpec": {"Image": "nginx:1", "Args": ["a", "b"], "Hostname": ""},
                    "Placement": {"Constraints": ["node.role==worker"]},
                    "Resources": {"Limits": {"NanoCPUs": 1_500_000_000_u64, "MemoryBytes": 64 << 20}},
                },
            },
            "Endpoint": {"Spec": {"Mode": "vip"}, "Ports": [{"PublishedPort": 8080,
                "TargetPort": 80, "Protocol": "tcp", "PublishMode": "host"}]},
        });
        let want = "\
ID:                 abc
Name:               web
Labels:
 tier=front
Service Mode:       Replicated
 Replicas:          3
Placement:
 Constraints:       node.role==worker
UpdateConfig:
 Parallelism:       2
 Delay:             10s
 Order:             start-first
ContainerSpec:
 Image:             nginx:1
 Args:              a b
Resources:
 Limits:
  CPU:              1.5
  Memory:           64MiB
Endpoint Mode:      vip
Ports:
 PublishedPort = 8080
  Protocol = tcp
  TargetPort = 80
  PublishMode = host";
        assert_eq!(pretty(&service), want);
        assert!(pretty(&json!({})).starts_with("Placement:"), "what is not there is left out");
    }
}
