//! Finding the program and running it.

use std::{ffi::CString, path::Path};

use rustix::fs::{Access, AtFlags, CWD, FileType, OFlags, accessat, stat};
use rustix::io::Errno;
use shoal_sys::root::Root;

use super::failed;
use crate::{
    plan::ProcessPlan,
    protocol::{Failure, Reason},
    user::Identity,
};

/// Where programs are looked for without a `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program with all it needs, found.
#[derive(Debug)]
pub(super) struct Command {
    /// As the user wrote it, for messages.
    name: String,
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

/// What becomes of a working directory that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingDir {
    /// It is made: a container begins in it.
    Make,
    /// It is an error: an exec changes nothing.
    Refuse,
}

/// Goes to the working directory and finds the
/// program. The calling process's root is the container's, as is `root`; nothing
/// of the host's is open.
pub(super) fn prepare(
    process: &ProcessPlan,
    identity: &Identity,
    root: Root,
    missing: MissingDir,
) -> Result<Command, Failure> {
    enter(&root, &process.cwd, missing)?;
    drop(root);
    let mut environment = process.env.clone();
    if !environment.iter().any(|entry| entry.starts_with("HOME=")) {
        environment.push(format!("HOME={}", identity.home));
    }
    let name = process.args.first().cloned().unwrap_or_default();
    let path = environment.iter().find_map(|entry| entry.strip_prefix("PATH="));
    let program = find(&name, path.unwrap_or(DEFAULT_PATH))?;
    Ok(Command {
        program: text(&program)?,
        arguments: process.args.iter().map(|one| text(one)).collect::<Result<_, _>>()?,
        environment: environment.iter().map(|one| text(one)).collect::<Result<_, _>>()?,
        name,
    })
}

impl Command {
    /// Runs it. Returns only with what went wrong.
    pub(super) fn execute(&self) -> Failure {
        let error = shoal_sys::process::execute(&self.program, &self.arguments, &self.environment);
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => Reason::CommandNotFound,
            _ => Reason::CommandNotExecutable,
        };
        let cause = words(error.raw_os_error().map_or(Errno::INVAL, Errno::from_raw_os_error));
        Failure::new(reason, format!("exec: {:?}: {cause}", self.name))
    }
}

/// Links of `/proc` into other places (`/proc/1/root`, `/proc/self/fd/N`) are not
/// followed: a directory behind one could be the host's, and be made there.
fn enter(root: &Root, cwd: &Path, missing: MissingDir) -> Result<(), Failure> {
    let what = || format!("chdir to cwd ({cwd:?}) set in config.json failed");
    let dir = match missing {
        MissingDir::Make => root.make_dir(cwd, 0o755),
        MissingDir::Refuse => root.open(cwd, OFlags::PATH | OFlags::DIRECTORY),
    };
    let dir = dir.map_err(|error| {
        let cause = words(Errno::from_io_error(&error).unwrap_or(Errno::INVAL));
        Failure::new(Reason::Invalid, format!("{}: {cause}", what()))
    })?;
    rustix::process::fchdir(&dir).map_err(failed(what()))?;
    // Of a directory outside our root the kernel says so (CVE-2024-21626).
    let real = rustix::process::getcwd(Vec::new()).map_err(failed(what()))?;
    if real.to_bytes().first() != Some(&b'/') {
        let text = format!("{} is outside of the container's root", what());
        return Err(Failure::new(Reason::Invalid, text));
    }
    Ok(())
}

/// As execvp(3) would, in Docker's words when it is not there.
fn find(name: &str, path: &str) -> Result<String, Failure> {
    if name.contains('/') {
        return match check(name) {
            Ok(()) => Ok(name.into()),
            Err(errno) => {
                let reason = match errno {
                    Errno::NOENT => Reason::CommandNotFound,
                    _ => Reason::CommandNotExecutable,
                };
                let text = format!("exec: {name:?}: stat {name}: {}", words(errno));
                let text = match errno {
                    Errno::NOENT => text,
                    other => format!("exec: {name:?}: {}", words(other)),
                };
                Err(Failure::new(reason, text))
            }
        };
    }
    let mut denied = false;
    if !name.is_empty() {
        for dir in path.split(':') {
            let dir = if dir.is_empty() { "." } else { dir };
            let candidate = format!("{}/{name}", dir.trim_end_matches('/'));
            match check(&candidate) {
                Ok(()) => return Ok(candidate),
                Err(Errno::ACCESS) => denied = true,
                Err(_) => {}
            }
        }
    }
    Err(match denied {
        true => {
            Failure::new(Reason::CommandNotExecutable, format!("exec: {name:?}: permission denied"))
        }
        false => Failure::new(
            Reason::CommandNotFound,
            format!("exec: {name:?}: executable file not found in $PATH"),
        ),
    })
}

fn check(path: &str) -> Result<(), Errno> {
    let found = stat(path)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => Err(Errno::ISDIR),
        FileType::RegularFile => accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS),
        _ => Err(Errno::ACCESS),
    }
}

/// Go's words, which Docker's users and clients know.
fn words(errno: Errno) -> String {
    match errno {
        Errno::NOENT => "no such file or directory".into(),
        Errno::ACCESS => "permission denied".into(),
        Errno::PERM => "operation not permitted".into(),
        Errno::ISDIR => "is a directory".into(),
        Errno::NOTDIR => "not a directory".into(),
        Errno::NOEXEC => "exec format error".into(),
        Errno::TOOBIG => "argument list too long".into(),
        Errno::LOOP => "too many levels of symbolic links".into(),
        other => other.to_string(),
    }
}

fn text(text: &str) -> Result<CString, Failure> {
    CString::new(text)
        .map_err(|_| Failure::new(Reason::Invalid, format!("{text:?} contains a null character")))
}
