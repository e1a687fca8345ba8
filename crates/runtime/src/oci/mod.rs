//! The OCI runtime command line: `create`, `start`, `state`, `kill`, `delete`,
//! `exec`, for engines other than ours and for the specification's own tests.
//!
//! No shim stays: `create` makes the container and goes; its first process waits
//! at a named socket until `start` comes, and is the child of whoever adopts
//! orphans (a containerd shim, conmon). So there is no log, no attach and no exit
//! record here; standard input and output are those of `create`.
//!
//! What is known of a container is in one directory per container, below
//! `--root`: `state.json` ([`state::Record`]) and, until it is started,
//! `start.sock`.

use std::{
    ffi::{CString, OsString},
    fs::File,
    io::{self, Write},
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::PathBuf,
};

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::protocol::{Failure, Reason};

mod arguments;
mod create;
mod delete;
mod exec;
mod kill;
mod start;
mod state;

use arguments::Arguments;

/// Where containers are remembered unless `--root` says otherwise.
const DEFAULT_ROOT: &str = "/run/shoal-shim";
/// The version of the specification this follows.
const SPEC_VERSION: &str = "1.2.0";

/// Options before the command.
struct Global {
    root: PathBuf,
    log: Option<PathBuf>,
    log_json: bool,
}

/// Runs one command; the result is the program's exit status.
///
/// # Errors
/// What is to be shown; it has been written to `--log` already.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> Result<u8, Failure> {
    let arguments: Vec<OsString> = arguments.collect();
    hide(&arguments).map_err(crate::making::failed("preparing"))?;
    let mut arguments = Arguments::new(arguments.into_iter())?;
    let global = global(&mut arguments)?;
    let result = command(&global, &mut arguments);
    if let Err(failure) = &result {
        log(&global, failure);
    }
    result
}

/// Keeps this program out of a container's reach: closes what was inherited, lets
/// nobody look into the processes made here (CVE-2016-9962), and goes on as a
/// sealed copy in memory, so that a container that executes `/proc/self/exe` holds
/// nothing it could write to (CVE-2019-5736).
fn hide(arguments: &[OsString]) -> io::Result<()> {
    const NAME: &str = "shoal-shim";
    shoal_sys::process::close_inherited(3);
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let own = "/proc/self/exe";
    if std::fs::read_link(own)?.to_string_lossy().starts_with(&format!("/memfd:{NAME}")) {
        return Ok(());
    }
    let copy = shoal_sys::memfd::sealed_copy(NAME, File::open(own)?)?;
    let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
    let mut all = vec![text(NAME.as_bytes())?];
    for argument in arguments {
        all.push(text(argument.as_bytes())?);
    }
    let program = text(format!("/proc/self/fd/{}", copy.as_raw_fd()).as_bytes())?;
    Err(shoal_sys::process::execute(&program, &all, &[]))
}

fn global(arguments: &mut Arguments) -> Result<Global, Failure> {
    let mut global = Global { root: DEFAULT_ROOT.into(), log: None, log_json: false };
    while let Some(option) = arguments.option() {
        match option.as_str() {
            "--root" => global.root = arguments.value()?.into(),
            "--log" => global.log = Some(arguments.value()?.into()),
            "--log-format" => global.log_json = arguments.value()? == "json",
            // Nothing more is said than without.
            "--debug" => {}
            "--version" | "-v" => {
                say(&format!(
                    "shoal-shim version {}\nspec: {SPEC_VERSION}\n",
                    env!("CARGO_PKG_VERSION")
                ))?;
                std::process::exit(0);
            }
            other => return Err(arguments.unknown(other)),
        }
    }
    Ok(global)
}

fn command(global: &Global, arguments: &mut Arguments) -> Result<u8, Failure> {
    let verb = arguments.word("command")?;
    match verb.as_str() {
        "create" => create::run(global, arguments).map(|()| 0),
        "start" => start::run(global, arguments).map(|()| 0),
        "state" => state::run(global, arguments).map(|()| 0),
        "kill" => kill::run(global, arguments).map(|()| 0),
        "delete" => delete::run(global, arguments).map(|()| 0),
        "exec" => exec::run(global, arguments),
        other => Err(Failure::new(Reason::NotImplemented, format!("unknown command {other:?}"))),
    }
}

/// As containerd reads it: one object per line.
fn log(global: &Global, failure: &Failure) {
    let Some(path) = &global.log else { return };
    let line = if global.log_json {
        let time = now().rfc3339_nano();
        serde_json::json!({"level": "error", "msg": failure.message, "time": time}).to_string()
    } else {
        format!("level=error msg={:?}", failure.message)
    };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    // The failure is also told on standard error.
    let _ = file.and_then(|mut file| writeln!(file, "{line}"));
}

fn say(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(crate::making::failed("standard output"))
}

fn now() -> shoal_model::Timestamp {
    crate::shim::now()
}
