//! How the process ends: what is said, and with which code.

use std::io;
use std::process::ExitCode;

use crate::client::Refusal;
use crate::print;

/// A code to end with; everything was said already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("exit status {0}")]
pub(super) struct Exit(pub(super) u8);

/// An error of `run`, whose codes are docker's: 125, or 126 and 127 when the
/// program could not be run.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct RunFailed(pub(super) anyhow::Error);

/// Says what went wrong and gives the code.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(Exit(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    if let Some(RunFailed(cause)) = error.downcast_ref() {
        say(cause);
        return ExitCode::from(run_code(&format!("{cause:#}")));
    }
    say(error);
    ExitCode::FAILURE
}

/// Says an error as docker does.
pub(super) fn say(error: &anyhow::Error) {
    if error.is::<Exit>() {
        return;
    }
    match error.downcast_ref::<Refusal>() {
        Some(refusal) => print::talk(format_args!("Error response from daemon: {refusal}")),
        None => print::talk(format_args!("Error: {error:#}")),
    }
}

/// The reader of our output left: not our failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run_code(message: &str) -> u8 {
    let any = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if !message.contains("OCI runtime") && !message.contains("exec: ") {
        125
    } else if any(&["executable file not found", "no such file or directory"]) {
        127
    } else if any(&["permission denied", "is a directory", "exec format error"]) {
        126
    } else {
        125
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_run_are_dockers() {
        let runtime = "OCI runtime create failed: exec: \"x\": ";
        assert_eq!(run_code(&format!("{runtime}executable file not found in $PATH: unknown")), 127);
        assert_eq!(run_code(&format!("{runtime}permission denied: unknown")), 126);
        assert_eq!(run_code("No such image: x"), 125);
    }
}
