//! The shim's program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    shoal_runtime::command_line::main(std::env::args_os().skip(1))
}
