//! What the program `shoal-shim` can be asked: to be a container's shim (`shim
//! DIR`, by the engine), or to be an OCI runtime (everything else).

use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Runs the command given by the arguments without the program's name.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.peekable();
    let result = if arguments.next_if(|verb| verb == "shim").is_some() {
        shim(arguments.next().map(PathBuf::from).as_deref())
    } else {
        crate::oci::run(arguments).map(ExitCode::from).map_err(|failure| failure.message)
    };
    result.unwrap_or_else(|error| {
        // Nobody could be told of a failure to complain.
        let _ = writeln!(std::io::stderr(), "shoal-shim: {error}");
        ExitCode::FAILURE
    })
}

fn shim(dir: Option<&Path>) -> Result<ExitCode, String> {
    let dir = dir.ok_or("shim: the bundle's directory is missing")?;
    crate::shim::run(dir).map(|()| ExitCode::SUCCESS).map_err(|error| error.to_string())
}
