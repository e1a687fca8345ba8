//! `exec`: one more process in a running container.

use std::{fs, os::fd::AsFd, path::PathBuf};

use shoal_sys::process::Ended;

use super::{
    Global,
    arguments::{Arguments, invalid},
    create, state,
    state::Status,
};
use crate::{
    init::ProcessStdio,
    making::{self, Target, failed, joined_by_execs},
    plan::{Plan, ProcessPlan, UserChoice},
    protocol::{Failure, Reason},
    spec::{Process, Spec},
};

#[derive(Default)]
struct Options {
    id: String,
    /// A whole process as JSON, instead of arguments.
    process: Option<PathBuf>,
    args: Vec<String>,
    env: Vec<String>,
    cwd: Option<String>,
    user: Option<String>,
    terminal: bool,
    detach: bool,
    no_new_privileges: bool,
    pid_file: Option<PathBuf>,
    console_socket: Option<PathBuf>,
}

pub(super) fn run(global: &Global, arguments: &mut Arguments) -> Result<u8, Failure> {
    let options = options(arguments)?;
    let (dir, record) = state::read(global, &options.id)?;
    if record.status(&dir) != Status::Running {
        let text = format!("container {} is not running", options.id);
        return Err(Failure::new(Reason::Conflict, text));
    }
    let (bundle, mut spec) = create::read(&record.bundle)?;
    change(&mut spec, &options)?;
    let plan = Plan::new(&bundle, &spec, &create::shim_config(&options.id))?;
    let mut process = plan.process;
    process.confinement.new_keyring = record.new_keyring;
    if let Some(user) = &options.user {
        process.user = UserChoice::Text { user: user.clone(), groups: Vec::new() };
    }
    create::check_terminal(process.terminal, options.console_socket.as_deref())?;
    let cgroup = record.cgroup()?;
    let init = shoal_sys::process::open_pidfd(record.pid)
        .map_err(failed(format!("container {}", options.id)))?;
    let target = Target {
        init: init.as_fd(),
        init_pid: record.pid,
        namespaces: joined_by_execs(&plan.namespaces),
        cgroup: cgroup.as_ref(),
        dies_with_maker: false,
    };
    execute(&process, &target, &options)
}

fn execute(process: &ProcessPlan, target: &Target<'_>, options: &Options) -> Result<u8, Failure> {
    let stdio = match process.terminal {
        true => None,
        false => Some(ProcessStdio::inherited().map_err(failed("standard streams"))?),
    };
    let newborn = making::make_exec(process, target, stdio)?;
    let told = create::send_terminal(&newborn, options.console_socket.as_deref())
        .and_then(|()| newborn.socket.run())
        .and_then(|()| create::write_pid(options.pid_file.as_deref(), newborn.child.pid));
    if let Err(failure) = told {
        making::abandon(&newborn.child);
        return Err(failure);
    }
    if options.detach {
        return Ok(0);
    }
    let status = match newborn.child.wait().map_err(failed("waiting"))? {
        Ended::Exited(status) => status,
        Ended::Signaled(signal) => 128 + signal,
    };
    Ok(u8::try_from(status).unwrap_or(u8::MAX))
}

fn options(arguments: &mut Arguments) -> Result<Options, Failure> {
    let mut options = Options::default();
    while let Some(option) = arguments.option() {
        match option.as_str() {
            "--process" | "-p" => options.process = Some(arguments.value()?.into()),
            "--env" | "-e" => options.env.push(arguments.value()?),
            "--cwd" => options.cwd = Some(arguments.value()?),
            "--user" | "-u" => options.user = Some(arguments.value()?),
            "--tty" | "-t" => options.terminal = true,
            "--detach" | "-d" => options.detach = true,
            "--no-new-privs" => options.no_new_privileges = true,
            "--pid-file" => options.pid_file = Some(arguments.value()?.into()),
            "--console-socket" => options.console_socket = Some(arguments.value()?.into()),
            other => return Err(arguments.unknown(other)),
        }
    }
    options.id = arguments.word("container id")?;
    options.args = arguments.rest();
    if options.process.is_none() && options.args.is_empty() {
        return Err(invalid("no command specified"));
    }
    Ok(options)
}

/// Puts the further process where the spec has the first one; everything that
/// confines it stays.
fn change(spec: &mut Spec, options: &Options) -> Result<(), Failure> {
    if let Some(path) = &options.process {
        let text = fs::read(path).map_err(failed(path.display()))?;
        let process: Process = serde_json::from_slice(&text).map_err(failed(path.display()))?;
        spec.process = Some(process);
        return Ok(());
    }
    let process = spec.process.as_mut().ok_or_else(|| invalid("process is missing"))?;
    process.args.clone_from(&options.args);
    process.env.extend(options.env.iter().cloned());
    process.terminal = options.terminal;
    process.no_new_privileges |= options.no_new_privileges;
    if let Some(cwd) = &options.cwd {
        process.cwd = cwd.into();
    }
    Ok(())
}
