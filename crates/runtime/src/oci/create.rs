//! `create`: makes a container and leaves it waiting.

use std::{
    fs,
    os::{
        fd::AsFd,
        unix::{fs::DirBuilderExt, net::UnixStream},
    },
    path::{Path, PathBuf},
};

use super::{Global, arguments::Arguments, state};
use crate::{
    bundle::{Bundle, Lenient, RootFs, ShimConfig},
    handshake,
    init::ProcessStdio,
    making::{self, Newborn, Recipe, failed, new_cgroup},
    plan::Plan,
    protocol::{Failure, Reason},
    spec::Spec,
};

struct Options {
    id: String,
    bundle: PathBuf,
    pid_file: Option<PathBuf>,
    console_socket: Option<PathBuf>,
    new_keyring: bool,
}

pub(super) fn run(global: &Global, arguments: &mut Arguments) -> Result<(), Failure> {
    let options = options(arguments)?;
    let dir = state::dir(global, &options.id)?;
    // Only root may know what is there, and knock at the gates.
    let mut private = fs::DirBuilder::new();
    private.mode(0o700);
    let root = private.recursive(true).create(&global.root);
    root.map_err(failed(global.root.display()))?;
    private.recursive(false).create(&dir).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::new(Reason::Conflict, format!("container {} exists already", options.id))
        }
        _ => failed(dir.display())(error),
    })?;
    let result = create(&options, &dir);
    if result.is_err() {
        // What cannot be removed now is in the way of the next try only.
        let _ = fs::remove_dir_all(&dir);
    }
    result
}

fn options(arguments: &mut Arguments) -> Result<Options, Failure> {
    let mut bundle = PathBuf::from(".");
    let (mut pid_file, mut console_socket, mut new_keyring) = (None, None, true);
    while let Some(option) = arguments.option() {
        match option.as_str() {
            "--bundle" | "-b" => bundle = arguments.value()?.into(),
            "--pid-file" => pid_file = Some(arguments.value()?.into()),
            "--console-socket" => console_socket = Some(arguments.value()?.into()),
            "--no-new-keyring" => new_keyring = false,
            other => return Err(arguments.unknown(other)),
        }
    }
    let id = arguments.word("container id")?;
    arguments.end()?;
    let bundle = fs::canonicalize(&bundle).map_err(failed(bundle.display()))?;
    Ok(Options { id, bundle, pid_file, console_socket, new_keyring })
}

fn create(options: &Options, dir: &Path) -> Result<(), Failure> {
    let (bundle, spec) = read(&options.bundle)?;
    let mut plan = Plan::new(&bundle, &spec, &shim_config(&options.id))?;
    plan.process.confinement.new_keyring = options.new_keyring;
    check_terminal(plan.process.terminal, options.console_socket.as_deref())?;
    let cgroup = plan.cgroup.as_ref().map(new_cgroup).transpose()?;
    let gate = handshake::gate(&state::gate(dir)).map_err(failed("start socket"))?;
    let stdio = match plan.process.terminal {
        true => None,
        false => Some(ProcessStdio::inherited().map_err(failed("standard streams"))?),
    };
    let gate = Some(gate);
    let recipe =
        Recipe { bundle: &bundle, plan: &plan, cgroup: cgroup.as_ref(), stdio, netns: None, gate };
    let made = making::make_container(recipe);
    let result = made.and_then(|newborn| {
        let told = tell(options, dir, &spec, &plan, &newborn);
        if told.is_err() {
            making::abandon(&newborn.child);
        }
        told
    });
    if result.is_err()
        && let Some(cgroup) = cgroup
    {
        // The first failure is the one to tell.
        let _ = cgroup.remove();
    }
    result
}

/// Hands over the terminal and writes down what was made.
fn tell(
    options: &Options,
    dir: &Path,
    spec: &Spec,
    plan: &Plan,
    newborn: &Newborn,
) -> Result<(), Failure> {
    send_terminal(newborn, options.console_socket.as_deref())?;
    let pid = newborn.child.pid;
    let (pid_start, _) = state::process_start(pid)
        .ok_or_else(|| Failure::new(Reason::Failed, "the process died while being made"))?;
    let record = state::Record {
        id: options.id.clone(),
        pid,
        pid_start,
        bundle: options.bundle.clone(),
        cgroup: plan.cgroup.as_ref().map(|plan| plan.path.clone()),
        new_keyring: options.new_keyring,
        annotations: spec.annotations.clone(),
    };
    state::write(dir, &record)?;
    write_pid(options.pid_file.as_deref(), pid)
}

/// The bundle and its spec.
pub(super) fn read(dir: &Path) -> Result<(Bundle, Spec), Failure> {
    let bundle = Bundle::new(dir);
    let spec = bundle
        .read_spec()
        .map_err(|error| Failure::new(Reason::Invalid, shoal_model::Classify::chain(&error)))?;
    Ok((bundle, spec))
}

/// The specification says everything there is.
pub(super) fn shim_config(id: &str) -> ShimConfig {
    ShimConfig {
        id: id.into(),
        root: RootFs::Spec,
        open_stdin: false,
        stdin_once: false,
        log: None,
        seccomp_program: None,
        user_text: None,
        group_texts: Vec::new(),
        network_from_engine: false,
        lenient: Lenient::default(),
    }
}

pub(super) fn check_terminal(terminal: bool, socket: Option<&Path>) -> Result<(), Failure> {
    match (terminal, socket) {
        (true, None) => {
            Err(Failure::new(Reason::Invalid, "a process with a terminal needs --console-socket"))
        }
        (false, Some(_)) => {
            Err(Failure::new(Reason::Invalid, "--console-socket is for a process with a terminal"))
        }
        _ => Ok(()),
    }
}

/// The master side, with the usual name as the message.
pub(super) fn send_terminal(newborn: &Newborn, socket: Option<&Path>) -> Result<(), Failure> {
    let (Some(master), Some(socket)) = (&newborn.terminal, socket) else { return Ok(()) };
    let what = || format!("console socket {}", socket.display());
    let stream = UnixStream::connect(socket).map_err(failed(what()))?;
    let name = [std::io::IoSlice::new(b"/dev/pts/ptmx")];
    shoal_sys::fdpass::send(stream.as_fd(), &name, &[master.as_fd()]).map_err(failed(what()))?;
    Ok(())
}

/// Whole or not at all: its reader waits for it to appear.
pub(super) fn write_pid(path: Option<&Path>, pid: i32) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    fs::write(&temporary, pid.to_string())
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(failed(path.display()))
}
