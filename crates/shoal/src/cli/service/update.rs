//! `shoal service update` and `rollback`.

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value, json};
use shoal_model::Reference;

use super::super::container::{pairs, read_mount};
use super::super::shell::Shell;
use super::create::{pin, send};
use super::options::Options;
use super::progress;
use super::spec::{apply, port, tidy};
use crate::client::{Query, segment};
use crate::print;
use crate::print::words::text;

/// Change a service.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal service update --image registry.local:8003/spider:0.02 spider
  shoal service update --update-parallelism 10 --update-delay 1s --image web:2 web
  shoal service update --force web                  replace all tasks")]
pub(super) struct Update {
    /// Its image from now on
    #[arg(long)]
    image: Option<String>,
    /// Arguments for its program
    #[arg(long, value_name = "COMMAND")]
    args: Option<String>,
    /// Replace all tasks although nothing else changed
    #[arg(long)]
    force: bool,
    /// Return to what it was before
    #[arg(long)]
    rollback: bool,
    /// Set an environment variable
    #[arg(long, value_name = "NAME=VALUE")]
    env_add: Vec<String>,
    /// Remove an environment variable
    #[arg(long, value_name = "NAME")]
    env_rm: Vec<String>,
    /// Set a label of the service
    #[arg(long, value_name = "NAME[=VALUE]")]
    label_add: Vec<String>,
    /// Remove a label of the service
    #[arg(long, value_name = "NAME")]
    label_rm: Vec<String>,
    /// Set a label of its containers
    #[arg(long, value_name = "NAME[=VALUE]")]
    container_label_add: Vec<String>,
    /// Remove a label of its containers
    #[arg(long, value_name = "NAME")]
    container_label_rm: Vec<String>,
    /// Add a condition
    #[arg(long, value_name = "CONDITION")]
    constraint_add: Vec<String>,
    /// Remove a condition
    #[arg(long, value_name = "CONDITION")]
    constraint_rm: Vec<String>,
    /// Publish a port
    #[arg(long, value_name = "PORT")]
    publish_add: Vec<String>,
    /// No longer publish the port of the program
    #[arg(long, value_name = "PORT")]
    publish_rm: Vec<String>,
    /// Add a mount
    #[arg(long, value_name = "MOUNT")]
    mount_add: Vec<String>,
    /// Remove the mount at a path
    #[arg(long, value_name = "TARGET")]
    mount_rm: Vec<String>,
    /// Join a network
    #[arg(long, value_name = "NETWORK")]
    network_add: Vec<String>,
    /// Leave a network
    #[arg(long, value_name = "NETWORK")]
    network_rm: Vec<String>,
    #[command(flatten)]
    options: Options,
    /// The service
    service: String,
}

impl Update {
    /// Changes it, and waits until it has converged.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let path = format!("/services/{}", segment(&self.service));
        let service = shell.client.get(&path, &Query::new()).await?;
        if self.rollback {
            return roll_back(shell, &service, &self.service, &self.options).await;
        }
        let mut spec = service["Spec"].clone();
        self.change(&mut spec)?;
        let image = text(&spec["TaskTemplate"]["ContainerSpec"], "Image").to_owned();
        let auth = shell.registry_auth(&image)?;
        if self.image.is_some() && !self.options.no_resolve_image {
            pin(shell, &mut spec, &auth).await;
        }
        let query = Query::new().with("version", &service["Version"]["Index"]).with("registryAuthFrom", "spec");
        let path = format!("/services/{}/update", text(&service, "ID"));
        send(shell, &path, query, &spec, self.options.with_registry_auth.then_some(&auth)).await?;
        finish(shell, &service, &self.service, &self.options).await
    }

    fn change(&self, spec: &mut Value) -> Result<()> {
        apply(&self.options, spec)?;
        change_map(spec, "Labels", &self.label_add, &self.label_rm);
        let task = &mut spec["TaskTemplate"];
        if self.force {
            task["ForceUpdate"] = json!(task["ForceUpdate"].as_u64().unwrap_or_default() + 1);
        }
        let named = |name: &Value, key: &str, list: &[String]| list.iter().any(|text| name[key] == text.as_str());
        change_list(&mut task["Networks"], |network| !named(network, "Target", &self.network_rm), self.network_add.iter().map(|name| Ok(json!({ "Target": name }))))?;
        change_list(
            &mut task["Placement"]["Constraints"],
            |text| !self.constraint_rm.iter().any(|gone| text == gone),
            self.constraint_add.iter().map(|text| Ok(json!(text))),
        )?;
        let container = &mut task["ContainerSpec"];
        if let Some(image) = &self.image {
            container["Image"] = json!(Reference::parse(image)?.with_default_tag().familiar());
        }
        if let Some(args) = &self.args {
            container["Args"] = json!(args.split_whitespace().collect::<Vec<_>>());
        }
        change_map(container, "Labels", &self.container_label_add, &self.container_label_rm);
        change_list(&mut container["Env"], |text| !self.replaces_variable(text), self.env_add.iter().map(|text| Ok(json!(text))))?;
        change_list(&mut container["Mounts"], |mount| !named(mount, "Target", &self.mount_rm), self.mount_add.iter().map(|text| read_mount(text)))?;
        change_list(
            &mut spec["EndpointSpec"]["Ports"],
            |port| !self.publish_rm.iter().any(|text| port["TargetPort"].to_string() == *text),
            self.publish_add.iter().map(|text| port(text)),
        )?;
        tidy(spec);
        Ok(())
    }

    /// A variable that is removed, or set to something else.
    fn replaces_variable(&self, text: &Value) -> bool {
        let text = text.as_str().unwrap_or_default();
        let name = text.split('=').next().unwrap_or_default();
        let set = self.env_add.iter().any(|added| added.split('=').next() == Some(name));
        set || self.env_rm.iter().any(|gone| gone == name)
    }
}

fn change_map(document: &mut Value, key: &str, add: &[String], remove: &[String]) {
    let mut map: Map<String, Value> = document[key].as_object().cloned().unwrap_or_default();
    map.retain(|name, _| !remove.contains(name));
    map.extend(pairs(add));
    document[key] = Value::Object(map);
}

fn change_list(
    list: &mut Value,
    keep: impl Fn(&Value) -> bool,
    add: impl Iterator<Item = Result<Value>>,
) -> Result<()> {
    let mut items: Vec<Value> = list.as_array().cloned().unwrap_or_default();
    items.retain(keep);
    for item in add {
        items.push(item?);
    }
    *list = if items.is_empty() { Value::Null } else { Value::Array(items) };
    Ok(())
}

async fn roll_back(shell: &Shell, service: &Value, name: &str, options: &Options) -> Result<()> {
    let query = Query::new().with("version", &service["Version"]["Index"]).with("rollback", "previous");
    let path = format!("/services/{}/update", text(service, "ID"));
    send(shell, &path, query, &service["Spec"], None).await?;
    finish(shell, service, name, options).await
}

async fn finish(shell: &Shell, service: &Value, name: &str, options: &Options) -> Result<()> {
    print::line(name)?;
    if options.detach {
        return Ok(());
    }
    progress::converge(shell, text(service, "ID"), options.quiet).await
}

/// Return a service to what it was before.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// Do not wait until the service has converged
    #[arg(short, long)]
    detach: bool,
    /// Say less
    #[arg(short, long)]
    quiet: bool,
    /// The service
    service: String,
}

impl Rollback {
    /// Rolls it back.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let path = format!("/services/{}", segment(&self.service));
        let service = shell.client.get(&path, &Query::new()).await?;
        let options = Options { detach: self.detach, quiet: self.quiet, ..Options::default() };
        roll_back(shell, &service, &self.service, &options).await
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        update: Update,
    }

    fn change(line: &str, mut spec: Value) -> Value {
        let line = Line::try_parse_from(std::iter::once("update").chain(line.split(' '))).expect(line);
        line.update.change(&mut spec).expect("a change");
        spec
    }

    #[test]
    fn lists_and_maps_change_in_place() {
        let spec = json!({"Labels": {"a": "1", "b": "2"}, "TaskTemplate": {"ForceUpdate": 1,
            "ContainerSpec": {"Image": "i", "Env": ["A=1", "B=2"]}}});
        let changed = change("--force --label-rm a --label-add c=3 --env-add A=9 --env-rm B --image j s", spec);
        assert_eq!(changed["Labels"], json!({"b": "2", "c": "3"}));
        assert_eq!(changed["TaskTemplate"]["ForceUpdate"], 2);
        assert_eq!(changed["TaskTemplate"]["ContainerSpec"], json!({"Image": "j:latest", "Env": ["A=9"]}));
    }

    #[test]
    fn nothing_given_changes_nothing() {
        let spec = json!({"Name": "s", "Labels": {"a": "1"}, "TaskTemplate": {"ContainerSpec": {"Image": "i"}}});
        assert_eq!(change("s", spec.clone()), spec);
    }
}
