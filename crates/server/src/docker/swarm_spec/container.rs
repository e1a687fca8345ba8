//! The container of a task.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shoal_model::swarm::{ContainerSpec, DnsConfig, Ulimit};

use super::super::documents::{HealthDocument, MountDocument};
use super::super::error::Result;
use super::super::wire::{Words, wire};
use super::files::{ConfigDocument, SecretDocument, render_config, render_secret};
use super::health::{read_health, render_health};
use super::mount::{read_mount, render_mount};
use super::privileges::{PrivilegesDocument, render_privileges};
use super::{duration, nanos, set, set_flag, set_list, set_text};

wire!(
    /// `ContainerSpec`.
    ContainerDocument {
        image: String = "Image",
        labels: BTreeMap<String, String> = "Labels",
        command: Words = "Command",
        args: Words = "Args",
        env: Vec<String> = "Env",
        dir: String = "Dir",
        user: String = "User",
        groups: Vec<String> = "Groups",
        hostname: String = "Hostname",
        tty: bool = "TTY",
        open_stdin: bool = "OpenStdin",
        read_only: bool = "ReadOnly",
        mounts: Vec<MountDocument> = "Mounts",
        stop_signal: String = "StopSignal",
        stop_grace_period: Option<i64> = "StopGracePeriod",
        health_check: Option<HealthDocument> = "Healthcheck",
        hosts: Vec<String> = "Hosts",
        dns: Option<DnsDocument> = "DNSConfig",
        secrets: Vec<SecretDocument> = "Secrets",
        configs: Vec<ConfigDocument> = "Configs",
        isolation: String = "Isolation",
        init: Option<bool> = "Init",
        sysctls: BTreeMap<String, String> = "Sysctls",
        cap_add: Vec<String> = "CapabilityAdd",
        cap_drop: Vec<String> = "CapabilityDrop",
        ulimits: Vec<UlimitDocument> = "Ulimits",
        oom_score_adj: i64 = "OomScoreAdj",
        privileges: Option<PrivilegesDocument> = "Privileges",
        pids_limit: i64 = "PidsLimit",
    }
);

wire!(
    /// `DNSConfig`.
    DnsDocument {
        nameservers: Vec<String> = "Nameservers",
        search: Vec<String> = "Search",
        options: Vec<String> = "Options",
    }
);

wire!(
    /// One of `Ulimits`.
    UlimitDocument { name: String = "Name", soft: i64 = "Soft", hard: i64 = "Hard" }
);

impl ContainerDocument {
    /// The container this document asks for.
    pub(super) fn into_domain(self) -> Result<ContainerSpec> {
        let secrets = self.secrets.into_iter().map(SecretDocument::into_domain);
        let configs = self.configs.into_iter().map(ConfigDocument::into_domain);
        let grace = self.stop_grace_period.map(|nanos| duration(nanos, "StopGracePeriod"));
        Ok(ContainerSpec {
            image: self.image,
            labels: self.labels,
            command: self.command.0,
            args: self.args.0,
            env: self.env,
            dir: self.dir,
            user: self.user,
            groups: self.groups,
            hostname: self.hostname,
            tty: self.tty,
            open_stdin: self.open_stdin,
            read_only: self.read_only,
            mounts: self.mounts.into_iter().map(read_mount).collect::<Result<_>>()?,
            stop_signal: self.stop_signal,
            stop_grace_period: grace.transpose()?,
            registry_auth: String::new(),
            health_check: self.health_check.map(read_health).transpose()?,
            hosts: self.hosts,
            dns: self.dns.map(DnsDocument::into_domain),
            secrets: secrets.collect::<Result<_>>()?,
            configs: configs.collect::<Result<_>>()?,
            // The default, said or not, is the same to the swarm.
            isolation: if self.isolation == "default" { String::new() } else { self.isolation },
            init: self.init,
            sysctls: self.sysctls,
            cap_add: self.cap_add,
            cap_drop: self.cap_drop,
            ulimits: self.ulimits.into_iter().map(UlimitDocument::into_domain).collect(),
            pids_limit: self.pids_limit,
            oom_score_adj: self.oom_score_adj,
            privileges: self.privileges.map(PrivilegesDocument::into_domain).transpose()?,
        })
    }
}

impl DnsDocument {
    fn into_domain(self) -> DnsConfig {
        let Self { nameservers, search, options } = self;
        DnsConfig { nameservers, search, options }
    }
}

impl UlimitDocument {
    fn into_domain(self) -> Ulimit {
        let Self { name, soft, hard } = self;
        Ulimit { name, soft, hard }
    }
}

/// A container's spec as Docker shows it: without the pull's credentials.
pub(super) fn render_container(spec: &ContainerSpec) -> Value {
    let mut document = json!({
        "Image": spec.image,
        "Isolation": if spec.isolation.is_empty() { "default" } else { &spec.isolation },
    });
    render_process(&mut document, spec);
    render_environment(&mut document, spec);
    render_limits(&mut document, spec);
    document
}

fn render_process(document: &mut Value, spec: &ContainerSpec) {
    set_list(document, "Labels", spec.labels.is_empty(), || json!(spec.labels));
    set_list(document, "Command", spec.command.is_empty(), || json!(spec.command));
    set_list(document, "Args", spec.args.is_empty(), || json!(spec.args));
    set_list(document, "Env", spec.env.is_empty(), || json!(spec.env));
    set_text(document, "Dir", &spec.dir);
    set_text(document, "User", &spec.user);
    set_list(document, "Groups", spec.groups.is_empty(), || json!(spec.groups));
    set_text(document, "Hostname", &spec.hostname);
    set_flag(document, "TTY", spec.tty);
    set_flag(document, "OpenStdin", spec.open_stdin);
    set_flag(document, "ReadOnly", spec.read_only);
    set_text(document, "StopSignal", &spec.stop_signal);
    set(document, "StopGracePeriod", spec.stop_grace_period.map(|period| json!(nanos(period))));
    set(document, "Healthcheck", spec.health_check.as_ref().map(render_health));
    set(document, "Init", spec.init.map(Value::Bool));
}

fn render_environment(document: &mut Value, spec: &ContainerSpec) {
    set_list(document, "Mounts", spec.mounts.is_empty(), || {
        spec.mounts.iter().map(render_mount).collect()
    });
    set_list(document, "Hosts", spec.hosts.is_empty(), || json!(spec.hosts));
    set(document, "DNSConfig", spec.dns.as_ref().map(render_dns));
    set_list(document, "Secrets", spec.secrets.is_empty(), || {
        spec.secrets.iter().map(render_secret).collect()
    });
    set_list(document, "Configs", spec.configs.is_empty(), || {
        spec.configs.iter().map(render_config).collect()
    });
}

fn render_limits(document: &mut Value, spec: &ContainerSpec) {
    set_list(document, "Sysctls", spec.sysctls.is_empty(), || json!(spec.sysctls));
    set_list(document, "CapabilityAdd", spec.cap_add.is_empty(), || json!(spec.cap_add));
    set_list(document, "CapabilityDrop", spec.cap_drop.is_empty(), || json!(spec.cap_drop));
    set_list(document, "Ulimits", spec.ulimits.is_empty(), || {
        spec.ulimits.iter().map(render_ulimit).collect()
    });
    set(document, "PidsLimit", (spec.pids_limit != 0).then(|| json!(spec.pids_limit)));
    set(document, "OomScoreAdj", (spec.oom_score_adj != 0).then(|| json!(spec.oom_score_adj)));
    set(document, "Privileges", spec.privileges.as_ref().map(render_privileges));
}

fn render_dns(dns: &DnsConfig) -> Value {
    let DnsConfig { nameservers, search, options } = dns;
    let mut document = json!({});
    set_list(&mut document, "Nameservers", nameservers.is_empty(), || json!(nameservers));
    set_list(&mut document, "Search", search.is_empty(), || json!(search));
    set_list(&mut document, "Options", options.is_empty(), || json!(options));
    document
}

fn render_ulimit(ulimit: &Ulimit) -> Value {
    let Ulimit { name, soft, hard } = ulimit;
    json!({ "Name": name, "Soft": soft, "Hard": hard })
}
