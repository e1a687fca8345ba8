//! `shoal service logs`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use http::StatusCode;

use super::super::container::{Choice, read_logs};
use super::super::shell::Shell;
use crate::client::{Frame, Query, Source, refused_with, segment};
use crate::print;
use crate::print::words::{items, short, text};

/// Show what the tasks of a service, or one task, wrote.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal service logs -f --tail 20 spider            all tasks of a service
  shoal service logs x1b2c3d4e5f6                   one task")]
pub(in crate::cli) struct Logs {
    #[command(flatten)]
    choice: Choice,
    /// Do not cut ids
    #[arg(long)]
    no_trunc: bool,
    /// Do not say which task wrote a line
    #[arg(long)]
    raw: bool,
    /// Service, or task
    name: String,
}

impl Logs {
    /// Shows them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let path = format!("/services/{}", segment(&self.name));
        let (path, spec) = match shell.client.get(&path, &Query::new()).await {
            Ok(service) => (path, service["Spec"]["TaskTemplate"].clone()),
            Err(error) if refused_with(&error, StatusCode::NOT_FOUND) => {
                let path = format!("/tasks/{}", segment(&self.name));
                let task = shell
                    .client
                    .get(&path, &Query::new())
                    .await
                    .map_err(|_| anyhow::anyhow!("no such task or service: {}", self.name))?;
                (path, task["Spec"].clone())
            }
            Err(error) => return Err(error),
        };
        let tty = spec["ContainerSpec"]["TTY"] == true;
        let query = self.choice.query().with_flag("details", !self.raw && !tty);
        let mut names = match self.raw || tty {
            true => Names::default(),
            false => Names::read(shell, self.no_trunc).await?,
        };
        read_logs(shell, &format!("{path}/logs"), &query, tty, |frame| {
            let line = if self.raw || tty {
                frame.data.to_vec()
            } else {
                names.line(&frame, self.choice.timestamps)
            };
            match frame.source {
                Source::Stdout => Ok(print::bytes(&line)?),
                Source::Stderr => Ok(print::error_bytes(&line)?),
            }
        })
        .await
    }
}

/// What tasks and nodes are called.
#[derive(Debug, Default)]
struct Names {
    nodes: BTreeMap<String, String>,
    services: BTreeMap<String, String>,
    slots: BTreeMap<String, u64>,
    whole: bool,
    width: usize,
}

impl Names {
    async fn read(shell: &Shell, whole: bool) -> Result<Self> {
        let mut names = Self { whole, ..Self::default() };
        for node in items(&shell.client.get("/nodes", &Query::new()).await?) {
            names.nodes.insert(
                text(node, "ID").to_owned(),
                text(&node["Description"], "Hostname").to_owned(),
            );
        }
        for service in items(&shell.client.get("/services", &Query::new()).await?) {
            names
                .services
                .insert(text(service, "ID").to_owned(), text(&service["Spec"], "Name").to_owned());
        }
        for task in items(&shell.client.get("/tasks", &Query::new()).await?) {
            names
                .slots
                .insert(text(task, "ID").to_owned(), task["Slot"].as_u64().unwrap_or_default());
        }
        Ok(names)
    }

    /// `spider.1.abc@node    | what it wrote`.
    fn line(&mut self, frame: &Frame, timestamps: bool) -> Vec<u8> {
        let (time, rest) = match timestamps {
            true => split(&frame.data),
            false => (&b""[..], &frame.data[..]),
        };
        let (details, message) = split(rest);
        let who = self.who(&String::from_utf8_lossy(details));
        self.width = self.width.max(who.chars().count());
        let mut line = format!("{who:width$} | ", width = self.width).into_bytes();
        if timestamps {
            line.extend_from_slice(time);
            line.push(b' ');
        }
        line.extend_from_slice(message);
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        line
    }

    fn who(&self, details: &str) -> String {
        let detail = |key: &str| {
            let mut pairs = details.split(',');
            pairs.find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
        };
        let (node, service, task) = (
            detail("com.docker.swarm.node.id"),
            detail("com.docker.swarm.service.id"),
            detail("com.docker.swarm.task.id"),
        );
        let named = |names: &BTreeMap<String, String>, id: &str| {
            names.get(id).cloned().unwrap_or(id.to_owned())
        };
        let id = if self.whole { task.to_owned() } else { short(task) };
        let slot = match self.slots.get(task) {
            Some(slot) if *slot > 0 => slot.to_string(),
            _ => node.to_owned(),
        };
        format!("{}.{slot}.{id}@{}", named(&self.services, service), named(&self.nodes, node))
    }
}

fn split(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b' ') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&data[..0], data),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_line_says_who_wrote_it() {
        let mut names = Names::default();
        names.nodes.insert("n".into(), "host-1".into());
        names.services.insert("s".into(), "spider".into());
        names.slots.insert("t23456789012345".into(), 3);
        let details = "com.docker.swarm.node.id=n,com.docker.swarm.service.id=s,com.docker.swarm.task.id=t23456789012345";
        let frame = |text: String| Frame { source: Source::Stdout, data: Bytes::from(text) };
        let line = names.line(&frame(format!("{details} hello world\n")), false);
        assert_eq!(String::from_utf8_lossy(&line), "spider.3.t23456789012@host-1 | hello world\n");
        let line = names.line(&frame(format!("TIME {details} hello")), true);
        assert_eq!(String::from_utf8_lossy(&line), "spider.3.t23456789012@host-1 | TIME hello\n");
    }
}
