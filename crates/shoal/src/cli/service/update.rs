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
use super::spec::{apply, port};
use crate::client::{Query, segment};
use crate::print;
use crate::print::words::text;

/// Change a service.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal service update --image registry.local:8003/spider:0.02 spider
  shoal service update --update-parallelism 10 --update-delay 1s --image web:2 web
  shoal service update --force web                  replace all tasks")]
pub(in crate::cli) struct Update {
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
        let query = Query::new()
            .with("version", &service["Version"]["Index"])
            .with("registryAuthFrom", "spec");
        let path = format!("/services/{}/update", text(&service, "ID"));
        send(shell, &path, query, &spec, self.options.with_registry_auth.then_some(&auth)).await?;
        finish(shell, &service, &self.service, &self.options).await
    }

    fn change(&self, spec: &mut Value) -> Result<()> {
        apply(&self.options, spec)?;
        if self.force {
            let task = &mut spec["TaskTemplate"];
            task["ForceUpdate"] = json!(task["ForceUpdate"].as_u64().unwrap_or_default() + 1);
        }
        if let Some(image) = &self.image {
            let image = Reference::parse(image)?.with_default_tag().familiar();
            spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(image);
        }
        if let Some(args) = &self.args {
            let args: Vec<&str> = args.split_whitespace().collect();
            spec["TaskTemplate"]["ContainerSpec"]["Args"] = json!(args);
        }
        change_map(spec, &["Labels"], &self.label_add, &self.label_rm);
        let labels = ["TaskTemplate", "ContainerSpec", "Labels"];
        change_map(spec, &labels, &self.container_label_add, &self.container_label_rm);
        self.change_lists(spec)
    }

    fn change_lists(&self, spec: &mut Value) -> Result<()> {
        let named = |item: &Value, key: &str, names: &[String]| {
            names.iter().any(|name| item[key] == name.as_str())
        };
        let texts = |texts: &[String]| texts.iter().map(|text| json!(text)).collect::<Vec<_>>();
        let networks = self.network_add.iter().map(|name| json!({ "Target": name })).collect();
        change_list(spec, &["TaskTemplate", "Networks"], networks, |network| {
            !named(network, "Target", &self.network_rm)
        });
        let constraints = ["TaskTemplate", "Placement", "Constraints"];
        change_list(spec, &constraints, texts(&self.constraint_add), |text| {
            !self.constraint_rm.iter().any(|gone| text == gone)
        });
        let env = ["TaskTemplate", "ContainerSpec", "Env"];
        change_list(spec, &env, texts(&self.env_add), |text| !self.replaces_variable(text));
        let mounts = self.mount_add.iter().map(|text| read_mount(text)).collect::<Result<_>>()?;
        change_list(spec, &["TaskTemplate", "ContainerSpec", "Mounts"], mounts, |mount| {
            !named(mount, "Target", &self.mount_rm)
        });
        let gone = self.publish_rm.iter().map(|text| port(text)).collect::<Result<Vec<_>>>()?;
        let ports = self.publish_add.iter().map(|text| port(text)).collect::<Result<_>>()?;
        change_list(spec, &["EndpointSpec", "Ports"], ports, |port| {
            !gone.iter().any(|gone| {
                gone["TargetPort"] == port["TargetPort"] && gone["Protocol"] == port["Protocol"]
            })
        });
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

fn change_map(spec: &mut Value, path: &[&str], add: &[String], remove: &[String]) {
    if add.is_empty() && remove.is_empty() {
        return;
    }
    let map = path.iter().fold(spec, |part, step| &mut part[*step]);
    let mut changed: Map<String, Value> = map.as_object().cloned().unwrap_or_default();
    changed.retain(|name, _| !remove.contains(name));
    changed.extend(pairs(add));
    *map = Value::Object(changed);
}

fn change_list(spec: &mut Value, path: &[&str], add: Vec<Value>, keep: impl Fn(&Value) -> bool) {
    let there = path.iter().try_fold(&*spec, |part, step| part.get(*step));
    let before = there.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut after = before.clone();
    after.retain(keep);
    after.extend(add);
    if after != before {
        *path.iter().fold(spec, |part, step| &mut part[*step]) = Value::Array(after);
    }
}

async fn roll_back(shell: &Shell, service: &Value, name: &str, options: &Options) -> Result<()> {
    let query =
        Query::new().with("version", &service["Version"]["Index"]).with("rollback", "previous");
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
pub(in crate::cli) struct Rollback {
    /// Do not wait until the service has converged
    #[arg(short, long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
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
        let line =
            Line::try_parse_from(std::iter::once("update").chain(line.split(' '))).expect(line);
        line.update.change(&mut spec).expect("a change");
        spec
    }

    #[test]
    fn lists_and_maps_change_in_place() {
        let spec = json!({"Labels": {"a": "1", "b": "2"}, "TaskTemplate": {"ForceUpdate": 1,
            "ContainerSpec": {"Image": "i", "Env": ["A=1", "B=2"]}}});
        let changed = change(
            "--force --label-rm a --label-add c=3 --env-add A=9 --env-rm B --image j s",
            spec,
        );
        assert_eq!(changed["Labels"], json!({"b": "2", "c": "3"}));
        assert_eq!(changed["TaskTemplate"]["ForceUpdate"], 2);
        assert_eq!(
            changed["TaskTemplate"]["ContainerSpec"],
            json!({"Image": "j:latest", "Env": ["A=9"]})
        );
    }

    #[test]
    fn nothing_given_changes_nothing() {
        let spec = json!({"Name": "s", "Labels": {}, "Mode": {"Global": {}}, "TaskTemplate": {
            "Placement": {}, "Resources": {"Limits": {}}, "ContainerSpec": {"Image": "i"}}});
        assert_eq!(change("s", spec.clone()), spec);
    }
}
