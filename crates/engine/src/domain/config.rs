//! The portable half of a container's configuration: what runs in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Port;

/// What runs in a container, independent of the machine (Docker's `Config`).
///
/// As the caller gave it; what the image adds is merged at create and only the
/// merged form is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    /// The image as the caller named it.
    pub image: String,
    /// Host name inside; `None` is the short container id.
    pub hostname: Option<String>,
    /// Domain name inside; empty for none.
    pub domainname: String,
    /// `user[:group]`, names or numbers; empty is the image's, else root.
    pub user: String,
    /// `KEY=VALUE`; a bare `KEY` removes the image's variable of that name.
    pub env: Vec<String>,
    /// Arguments, or the command where there is no entrypoint; `None` is the image's.
    pub cmd: Option<Vec<String>>,
    /// `None` is the image's; an empty list or `[""]` clears the image's.
    pub entrypoint: Option<Vec<String>>,
    /// Working directory; empty is the image's, else `/`.
    pub workdir: String,
    /// User labels; the image's are added at create.
    pub labels: BTreeMap<String, String>,
    /// Give the process a terminal.
    pub tty: bool,
    /// Keep a stdin that attached clients can write to.
    pub open_stdin: bool,
    /// Close stdin when the first attached client leaves.
    pub stdin_once: bool,
    /// Whether the creator meant to attach stdin; only told back.
    pub attach_stdin: bool,
    /// Whether the creator meant to attach stdout; told back, and the `attach` default.
    pub attach_stdout: bool,
    /// Whether the creator meant to attach stderr; only told back.
    pub attach_stderr: bool,
    /// Ports the program listens on; the image's are added at create.
    pub exposed_ports: BTreeSet<Port>,
    /// Paths that get an anonymous volume; the image's are added at create.
    pub volumes: BTreeSet<String>,
    /// Signal that asks the program to stop; `None` is the image's, else SIGTERM.
    pub stop_signal: Option<String>,
    /// Seconds between that signal and SIGKILL; `None` is 10, -1 waits for ever.
    pub stop_timeout_s: Option<i64>,
    /// Health check; `None` is the image's.
    pub healthcheck: Option<Healthcheck>,
    /// No network at all, as `--network none`.
    pub network_disabled: bool,
    /// Shell of the image's shell-form commands; only told back.
    pub shell: Option<Vec<String>>,
}

/// How the engine finds out whether a container is healthy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    /// What is run; `None` inherits the image's test.
    pub test: Option<HealthcheckTest>,
    /// Time between probes; zero is 30 s.
    pub interval: Duration,
    /// Time a probe may take; zero is 30 s.
    pub timeout: Duration,
    /// Time after start in which failures do not count; zero is none.
    pub start_period: Duration,
    /// Time between probes in the start period; zero is 5 s.
    pub start_interval: Duration,
    /// Failures in a row that make it unhealthy; zero is 3.
    pub retries: u32,
}

/// The shell of a `CMD-SHELL` probe where the image names none.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

impl ContainerConfig {
    /// What a probe runs; `None` if nothing is checked.
    pub fn probe(&self) -> Option<Vec<String>> {
        match self.healthcheck.as_ref()?.test.as_ref()? {
            HealthcheckTest::Disabled => None,
            HealthcheckTest::Exec(words) => (!words.is_empty()).then(|| words.clone()),
            HealthcheckTest::Shell(line) => {
                let default = || DEFAULT_SHELL.map(str::to_owned).to_vec();
                let mut words = self.shell.clone().unwrap_or_else(default);
                words.push(line.clone());
                Some(words)
            }
        }
    }
}

/// The probe of a health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthcheckTest {
    /// `NONE`: the image's check is switched off.
    Disabled,
    /// `CMD`: program and arguments.
    Exec(Vec<String>),
    /// `CMD-SHELL`: one line for the container's shell.
    Shell(String),
}
