//! What the program `shoal-shim` can be asked: to be a container's shim.

use std::{ffi::OsString, io::Write, path::PathBuf, process::ExitCode};

/// Runs the command given by the arguments without the program's name.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let verb = arguments.next();
    let result = match verb.as_ref().and_then(|verb| verb.to_str()) {
        Some("shim") => match arguments.next() {
            Some(dir) => crate::shim::run(&PathBuf::from(dir)).map_err(|error| error.to_string()),
            None => Err("shim: the bundle's directory is missing".into()),
        },
        Some(other) => Err(format!("unknown command {other:?}")),
        None => Err("no command given".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody could be told of a failure to complain.
            let _ = writeln!(std::io::stderr(), "shoal-shim: {error}");
            ExitCode::FAILURE
        }
    }
}
