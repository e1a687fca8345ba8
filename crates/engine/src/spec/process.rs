//! The first process: arguments, environment, rights.

use oci_spec::runtime::{
    Box as Size, BoxBuilder, LinuxCapabilities, PosixRlimit, PosixRlimitBuilder, PosixRlimitType,
    Process, User,
};

use super::Facts;
use super::capabilities::{CapabilityError, effective};
use crate::config::OpenFiles;
use crate::container::record::Record;
use crate::domain::TerminalSize;

/// Where programs are looked for when neither image nor user says.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The process a record describes.
pub(super) fn process(record: &Record, facts: &Facts) -> Result<Process, CapabilityError> {
    let host = &record.host;
    let mut process = Process::default();
    process
        .set_terminal(Some(record.config.tty))
        .set_user(User::default())
        .set_args(Some(record.command()))
        .set_env(Some(environment(record)))
        .set_cwd(working_directory(record).into())
        .set_capabilities(Some(capabilities(record)?))
        .set_rlimits(Some(rlimits(record, facts.open_files)))
        .set_no_new_privileges(Some(host.no_new_privileges))
        .set_oom_score_adj(Some(host.oom_score_adj));
    if let Some(size) = host.console_size.filter(|_| record.config.tty) {
        process.set_console_size(console_size(size));
    }
    Ok(process)
}

fn console_size(size: TerminalSize) -> Option<Size> {
    // Every member is set, so the builder has nothing to miss.
    BoxBuilder::default().height(size.rows).width(size.columns).build().ok()
}

/// The environment of the first process, and the ground of every exec's:
/// the defaults, then the container's; a later value of a name wins, a name
/// alone takes the variable away.
pub(crate) fn environment(record: &Record) -> Vec<String> {
    let config = &record.config;
    let mut variables = vec![format!("PATH={DEFAULT_PATH}")];
    if let Some(hostname) = &config.hostname {
        variables.push(format!("HOSTNAME={hostname}"));
    }
    if config.tty {
        variables.push("TERM=xterm".into());
    }
    for variable in &config.env {
        set_variable(&mut variables, variable);
    }
    variables
}

/// Sets, replaces or (without `=`) removes one variable.
pub(crate) fn set_variable(variables: &mut Vec<String>, variable: &str) {
    let name = variable.split_once('=').map_or(variable, |(name, _)| name);
    let is_it = |other: &String| other.split_once('=').is_some_and(|(other, _)| other == name);
    if !variable.contains('=') {
        variables.retain(|other| !is_it(other));
        return;
    }
    match variables.iter_mut().find(|other| is_it(other)) {
        Some(there) => *there = variable.into(),
        None => variables.push(variable.into()),
    }
}

fn working_directory(record: &Record) -> &str {
    match record.config.workdir.as_str() {
        "" => "/",
        workdir => workdir,
    }
}

/// Permitted and effective without inheritable and ambient: a program of another
/// user than root has none, as after any `execve`.
fn capabilities(record: &Record) -> Result<LinuxCapabilities, CapabilityError> {
    let set = effective(&record.host)?;
    let mut capabilities = LinuxCapabilities::default();
    capabilities
        .set_bounding(Some(set.clone()))
        .set_effective(Some(set.clone()))
        .set_permitted(Some(set))
        .set_inheritable(None)
        .set_ambient(None);
    Ok(capabilities)
}

fn rlimits(record: &Record, open_files: Option<OpenFiles>) -> Vec<PosixRlimit> {
    let asked = record.host.resources.ulimits.iter().filter_map(|ulimit| {
        // -1 is the kernel's "no limit", which is the highest number there.
        rlimit(rlimit_type(&ulimit.name)?, ulimit.soft as u64, ulimit.hard as u64)
    });
    let mut limits: Vec<_> = asked.collect();
    let open_files_asked = limits.iter().any(|limit| limit.typ() == PosixRlimitType::RlimitNofile);
    if let (Some(OpenFiles { soft, hard }), false) = (open_files, open_files_asked) {
        limits.extend(rlimit(PosixRlimitType::RlimitNofile, soft, hard));
    }
    limits
}

fn rlimit(kind: PosixRlimitType, soft: u64, hard: u64) -> Option<PosixRlimit> {
    PosixRlimitBuilder::default().typ(kind).soft(soft).hard(hard).build().ok()
}

/// The limit with this name in lower case.
pub(crate) fn rlimit_type(name: &str) -> Option<PosixRlimitType> {
    use PosixRlimitType as T;
    Some(match name {
        "core" => T::RlimitCore,
        "cpu" => T::RlimitCpu,
        "data" => T::RlimitData,
        "fsize" => T::RlimitFsize,
        "locks" => T::RlimitLocks,
        "memlock" => T::RlimitMemlock,
        "msgqueue" => T::RlimitMsgqueue,
        "nice" => T::RlimitNice,
        "nofile" => T::RlimitNofile,
        "nproc" => T::RlimitNproc,
        "rss" => T::RlimitRss,
        "rtprio" => T::RlimitRtprio,
        "rttime" => T::RlimitRttime,
        "sigpending" => T::RlimitSigpending,
        "stack" => T::RlimitStack,
        "as" => T::RlimitAs,
        _ => return None,
    })
}
