//! Instructions that change the configuration and no file.

use serde_json::json;
use shoal_image::{Healthcheck, RunConfig};

use super::State;
use super::go_text::{quote, quote_list, quote_number};

/// A change of the configuration, variables expanded.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// `ARG`: the declarations as written, and the values they get.
    Arg {
        /// `name` or `name=default`, for the history.
        declared: Vec<String>,
        /// What the names are from now on.
        values: Vec<(String, Option<String>)>,
    },
    /// `CMD`
    Cmd(Vec<String>),
    /// `ENTRYPOINT`; none if it was emptied.
    Entrypoint(Option<Vec<String>>),
    /// `ENV`
    Env(Vec<(String, String)>),
    /// `EXPOSE`: as written, and each port.
    Expose {
        /// For the history.
        declared: Vec<String>,
        /// `80/tcp`
        ports: Vec<String>,
    },
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(Vec<(String, String)>),
    /// `MAINTAINER`
    Maintainer(String),
    /// `ONBUILD`
    Onbuild(String),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    Stopsignal(String),
    /// `USER`
    User(String),
    /// `VOLUME`
    Volume(Vec<String>),
}

impl Change {
    /// The instruction as Docker writes it into the history.
    pub fn comment(&self) -> String {
        match self {
            Self::Arg { declared, .. } => format!("ARG {}", declared.join(" ")),
            Self::Cmd(list) => format!("CMD {}", quote_list(list)),
            Self::Entrypoint(list) => {
                format!("ENTRYPOINT {}", quote_list(list.as_deref().unwrap_or_default()))
            }
            Self::Env(pairs) => format!("ENV {}", join(pairs)),
            Self::Expose { declared, .. } => format!("EXPOSE {}", declared.join(" ")),
            Self::Healthcheck(check) => format!("HEALTHCHECK {}", healthcheck(check)),
            Self::Label(pairs) => format!("LABEL {}", join(pairs)),
            Self::Maintainer(name) => format!("MAINTAINER {name}"),
            Self::Onbuild(trigger) => format!("ONBUILD {trigger}"),
            Self::Shell(list) => format!("SHELL [{}]", list.join(" ")),
            Self::Stopsignal(signal) => format!("STOPSIGNAL {signal}"),
            Self::User(user) => format!("USER {user}"),
            Self::Volume(list) => format!("VOLUME [{}]", list.join(" ")),
        }
    }

    /// What of it counts for the cache: each value by itself, as the history
    /// joins them and two changes may read alike there.
    pub fn key_parts(&self) -> Vec<String> {
        let pairs = |pairs: &[(String, String)]| -> Vec<String> {
            pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect()
        };
        let (name, parts) = match self {
            // As with Docker: a value counts where a step sees it, in what is
            // expanded and in each `RUN`.
            Self::Arg { declared, .. } => ("ARG", declared.clone()),
            Self::Cmd(list) => ("CMD", list.clone()),
            Self::Entrypoint(None) => ("no ENTRYPOINT", Vec::new()),
            Self::Entrypoint(Some(list)) => ("ENTRYPOINT", list.clone()),
            Self::Env(list) => ("ENV", pairs(list)),
            Self::Expose { declared, ports } => {
                ("EXPOSE", counted(declared).into_iter().chain(ports.iter().cloned()).collect())
            }
            Self::Healthcheck(check) => ("HEALTHCHECK", vec![healthcheck(check)]),
            Self::Label(list) => ("LABEL", pairs(list)),
            Self::Maintainer(name) => ("MAINTAINER", vec![name.clone()]),
            Self::Onbuild(trigger) => ("ONBUILD", vec![trigger.clone()]),
            Self::Shell(list) => ("SHELL", list.clone()),
            Self::Stopsignal(signal) => ("STOPSIGNAL", vec![signal.clone()]),
            Self::User(user) => ("USER", vec![user.clone()]),
            Self::Volume(list) => ("VOLUME", list.clone()),
        };
        [vec![name.to_owned()], parts].concat()
    }

    /// Makes the change.
    pub fn apply(&self, state: &mut State) {
        let config = &mut state.config.config;
        match self {
            Self::Arg { values, .. } => state.args.extend(values.iter().cloned()),
            Self::Cmd(list) => {
                config.cmd = Some(list.clone());
                config.other.remove("ArgsEscaped");
                state.cmd_set = true;
            }
            Self::Entrypoint(list) => {
                config.entrypoint.clone_from(list);
                // The base's arguments were for the base's entrypoint.
                if !state.cmd_set {
                    config.cmd = None;
                }
            }
            Self::Env(pairs) => pairs.iter().for_each(|(key, value)| set_env(config, key, value)),
            Self::Expose { ports, .. } => {
                config.exposed_ports.extend(ports.iter().map(|port| (port.clone(), json!({}))));
            }
            Self::Healthcheck(check) => config.healthcheck = Some(check.clone()),
            Self::Label(pairs) => config.labels.extend(pairs.iter().cloned()),
            Self::Maintainer(name) => state.config.author.clone_from(name),
            Self::Onbuild(trigger) => config.on_build.push(trigger.clone()),
            Self::Shell(list) => config.shell = Some(list.clone()),
            Self::Stopsignal(signal) => config.stop_signal.clone_from(signal),
            Self::User(user) => config.user.clone_from(user),
            Self::Volume(list) => {
                config.volumes.extend(list.iter().map(|path| (path.clone(), json!({}))));
            }
        }
    }
}

/// Sets a variable in its old place, or at the end.
fn set_env(config: &mut RunConfig, key: &str, value: &str) {
    let line = format!("{key}={value}");
    let old = config.env.iter_mut().find(|old| old.split('=').next() == Some(key));
    match old {
        Some(old) => *old = line,
        None => config.env.push(line),
    }
}

fn join(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(" ")
}

/// A list behind its length, so that another one can follow.
fn counted(list: &[String]) -> Vec<String> {
    [&[list.len().to_string()], list].concat()
}

/// Docker writes the bare structure, as Go shows it with quotes.
fn healthcheck(check: &Healthcheck) -> String {
    let time = |ns: i64| {
        let duration = std::time::Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
        quote(&shoal_model::units::format_go_duration(duration))
    };
    format!(
        "&{{{} {} {} {} {} {}}}",
        quote_list(&check.test),
        time(check.interval),
        time(check.timeout),
        time(check.start_period),
        time(check.start_interval),
        quote_number(check.retries),
    )
}
