//! What is refused of a service before it is made: its tasks would be refused on their nodes
//! otherwise, each of them, for ever.

use std::collections::BTreeMap;

use shoal_engine::domain::{LogConfig, Propagation};
use shoal_model::swarm::{
    BindOptions, ContainerSpec, Mount, MountKind, Privileges, ServiceSpec, TaskSpec, VolumeOptions,
};

use super::super::error::{ApiError, Result};
use super::{refused, template};

/// Refuses what no task can be.
///
/// # Errors
/// `Invalid` with SwarmKit's texts, `NotImplemented` naming an option.
pub(crate) fn refuse(spec: &ServiceSpec) -> Result<()> {
    let labels = &spec.annotations.labels;
    templates(&spec.task.container, labels)?;
    options(&spec.task)
}

fn templates(spec: &ContainerSpec, labels: &BTreeMap<String, String>) -> Result<()> {
    let check = |what: &str, text: &str| {
        template::check(text, labels)
            .map_err(|why| refused(format!("expanding {what} failed: {why}")))
    };
    spec.env.iter().try_for_each(|text| check("env", text))?;
    for mount in &spec.mounts {
        check("mounts", &mount.source)?;
        check("mounts", &mount.target)?;
        if let Some(volume) = &mount.volume {
            let driver = volume.driver.iter().flat_map(|driver| driver.options.values());
            volume.labels.values().chain(driver).try_for_each(|text| check("mounts", text))?;
        }
    }
    check("hostname", &spec.hostname)
}

fn options(task: &TaskSpec) -> Result<()> {
    let spec = &task.container;
    let isolated = !matches!(spec.isolation.as_str(), "" | "default");
    let network = task.networks.iter().any(|network| !network.driver_options.is_empty());
    for (set, option) in [
        (spec.init == Some(true), "ContainerSpec.Init (--init)"),
        (isolated, "ContainerSpec.Isolation (--isolation)"),
        (network, "Networks.DriverOpts (--network driver-opt)"),
    ] {
        unless(!set, option)?;
    }
    if !(-1000..=1000).contains(&spec.oom_score_adj) {
        return Err(refused(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            spec.oom_score_adj
        )));
    }
    spec.privileges.as_ref().map_or(Ok(()), privileges)?;
    spec.mounts.iter().try_for_each(mount)?;
    match &task.log_driver {
        Some(driver) => Ok(LogConfig::read(&driver.name, driver.options.clone()).map(drop)?),
        None => Ok(()),
    }
}

fn privileges(privileges: &Privileges) -> Result<()> {
    let Privileges { credential_spec, selinux, seccomp: _, apparmor: _, no_new_privileges: _ } =
        privileges;
    unless(credential_spec.is_none(), "ContainerSpec.Privileges.CredentialSpec")?;
    let labelled = selinux.as_ref().is_some_and(|context| !context.disable);
    unless(!labelled, "ContainerSpec.Privileges.SELinuxContext")
}

fn mount(mount: &Mount) -> Result<()> {
    let none = BindOptions::default();
    let bind = mount.bind.as_ref().unwrap_or(&none);
    unless(!bind.read_only_non_recursive, "Mounts.BindOptions.ReadOnlyNonRecursive")?;
    unless(!bind.read_only_force_recursive, "Mounts.BindOptions.ReadOnlyForceRecursive")?;
    propagation(&bind.propagation)?;
    if mount.kind == MountKind::Tmpfs && !mount.source.is_empty() {
        // SwarmKit's nodes reject each task with these words.
        return Err(refused("invalid tmpfs source, source must be empty".to_owned()));
    }
    let none = VolumeOptions::default();
    let volume = mount.volume.as_ref().unwrap_or(&none);
    unless(volume.subpath.is_empty(), "Mounts.VolumeOptions.Subpath")
}

fn propagation(word: &str) -> Result<()> {
    if word.is_empty() {
        return Ok(());
    }
    match Propagation::parse(word) {
        None => Err(refused(format!("invalid mount propagation: {word:?}"))),
        // The container's own root would have to be shared, which the runtime has not.
        Some(Propagation::Shared | Propagation::Rshared) => Err(ApiError::unsupported(format!(
            "Mounts.BindOptions.Propagation (bind-propagation={word}) of a service"
        ))),
        Some(_) => Ok(()),
    }
}

fn unless(unset: bool, option: &str) -> Result<()> {
    if unset { Ok(()) } else { Err(ApiError::unsupported(format!("{option} of a service"))) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shoal_model::Kind;

    use super::super::super::wire::{At, Wire};
    use super::super::ServiceDocument;
    use super::*;

    fn asked(container: Value) -> Result<()> {
        let mut task =
            json!({"ContainerSpec": {"Image": "i"}, "LogDriver": container["LogDriver"]});
        for (key, value) in container.as_object().into_iter().flatten() {
            if key != "LogDriver" {
                task["ContainerSpec"][key] = value.clone();
            }
        }
        let document = json!({"Name": "web", "TaskTemplate": task});
        let document = ServiceDocument::read(document, &At::ROOT)?;
        refuse(&document.into_domain(&str::to_owned)?)
    }

    #[test]
    fn what_the_cli_sends_passes() {
        asked(json!({
            "Init": false, "Isolation": "default", "Hostname": "{{.Node.Hostname}}-{{.Task.Slot}}",
            "Env": ["A={{.Service.Name}}", "B={b}"], "Privileges": {"NoNewPrivileges": true},
            "Mounts": [{"Type": "volume", "Source": "v-{{.Task.Slot}}", "Target": "/v"}],
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m", "max-file": "2"}},
        }))
        .expect("nothing to refuse");
    }

    #[test]
    fn a_template_nobody_can_fill_in_is_refused_in_swarmkits_words() {
        for (container, begin) in [
            (json!({"Hostname": "{{.Foo}}"}), "expanding hostname failed: template: "),
            (json!({"Hostname": "{{"}), "expanding hostname failed: template: "),
            (json!({"Env": ["A={{.Foo}}"]}), "expanding env failed: template: "),
            (
                json!({"Mounts": [{"Type": "bind", "Source": "/{{.Foo}}", "Target": "/x"}]}),
                "expanding mounts failed: template: ",
            ),
        ] {
            let error = asked(container).expect_err(begin);
            let begin = format!("rpc error: code = InvalidArgument desc = {begin}");
            assert!(error.message().starts_with(&begin), "{}", error.message());
            assert_eq!(error.kind(), Kind::Invalid);
        }
    }

    #[test]
    fn options_of_no_task_are_refused_by_name() {
        for (container, name) in [
            (json!({"Init": true}), "--init"),
            (json!({"Isolation": "hyperv"}), "--isolation"),
            (json!({"Privileges": {"SELinuxContext": {"User": "u"}}}), "SELinuxContext"),
            (
                json!({"Mounts": [{"Type": "volume", "Target": "/x",
                    "VolumeOptions": {"Subpath": "a"}}]}),
                "Subpath",
            ),
            (
                json!({"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/x",
                    "BindOptions": {"Propagation": "rshared"}}]}),
                "bind-propagation=rshared",
            ),
            (json!({"LogDriver": {"Name": "syslog"}}), "syslog"),
        ] {
            let error = asked(container).expect_err(name);
            assert!(error.message().contains(name), "{}", error.message());
            assert_eq!(error.kind(), Kind::NotImplemented, "{name}");
        }
    }

    #[test]
    fn a_tmpfs_comes_from_nowhere() {
        let tmpfs = |source: &str| {
            asked(json!({"Mounts": [{"Type": "tmpfs", "Source": source, "Target": "/x"}]}))
        };
        tmpfs("").expect("nothing to refuse");
        let error = tmpfs("foo").expect_err("refused");
        assert_eq!(
            error.message(),
            "rpc error: code = InvalidArgument desc = invalid tmpfs source, source must be empty"
        );
    }

    #[test]
    fn a_check_without_pause_is_refused() {
        let check = json!({"Healthcheck": {"Test": ["CMD", "x"], "Interval": 1000}});
        let error = asked(check).expect_err("refused");
        assert_eq!(
            error.message(),
            "rpc error: code = InvalidArgument desc = \
             ContainerSpec: Interval in HealthConfig cannot be less than 1ms"
        );
    }
}
