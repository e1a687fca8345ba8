//! `shoal`: the command line, the daemon, and everything that wires them.
#![forbid(unsafe_code)]

mod adapters;
mod cli;
mod client;
mod clock;
mod cluster_local;
mod demo;
mod pem;
mod print;
mod serve;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
