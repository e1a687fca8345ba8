//! `cargo xtask`: the one entry for developers, and what CI runs.
//!
//! Each verb sets up what it needs (missing system packages included), says
//! what it does, and leaves nothing running.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks")]

mod build;
mod edges;
mod fuzz;
mod leftovers;
mod packages;
mod run;

use anyhow::Result;
use clap::{Parser, Subcommand};

use build::Profile;

/// Shoal's developer commands.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// The crawler story on a local three-node cluster, with a table of times
    Demo {
        /// Passed on to `shoal demo`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Everything: lints, unit tests, end-to-end tests with real clients
    Test {
        /// Only the tests whose name contains this
        filter: Option<String>,
        /// Leave out lints and unit tests
        #[arg(long)]
        end_to_end_only: bool,
    },
    /// Figures beside a real dockerd on this machine
    Bench {
        /// Passed on to the bench
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Coverage-guided fuzzing of what reads bytes from outside
    Fuzz {
        /// One target of fuzz/fuzz_targets; every one if left out
        target: Option<String>,
        /// How long for each target
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Formatting, clippy and the edges between crates
    Lint,
    /// Build the release binaries and print where they are
    Build,
}

fn main() -> Result<()> {
    match Cli::parse().verb {
        Verb::Demo { args } => {
            packages::ensure(packages::DEMO)?;
            let binaries = build::binaries(Profile::Release)?;
            run::command(binaries.shoal()).arg("demo").args(args).run()
        }
        Verb::Test { filter, end_to_end_only } => test(filter.as_deref(), end_to_end_only),
        Verb::Bench { args } => {
            packages::ensure(packages::BENCH)?;
            let binaries = build::binaries(Profile::Release)?;
            run::cargo(["run", "--release", "--package", "shoal-bench", "--"])
                .args(args)
                .env("SHOAL_BIN_DIR", binaries.dir())
                .run()
        }
        Verb::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Verb::Lint => lint(),
        Verb::Build => {
            let binaries = build::binaries(Profile::Release)?;
            println!("{}", binaries.dir().display());
            Ok(())
        }
    }
}

fn lint() -> Result<()> {
    run::cargo(["fmt", "--all", "--check"]).run()?;
    run::cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()?;
    edges::check()
}

/// Where the property tests take their chance from. The gate tries the same
/// cases each time, so that it fails for a change and not for luck; new cases
/// are found with another seed, and by fuzzing.
const PROPERTY_SEED: &str = "PROPTEST_RNG_SEED";

fn test(filter: Option<&str>, end_to_end_only: bool) -> Result<()> {
    packages::ensure(packages::TEST)?;
    let before = leftovers::Machine::look()?;
    let binaries = build::binaries(Profile::Dev)?;
    if !end_to_end_only {
        lint()?;
        run::cargo(["test", "--workspace", "--exclude", "shoal-e2e"])
            .args(filter)
            .env("SHOAL_BIN_DIR", binaries.dir())
            .env(PROPERTY_SEED, std::env::var(PROPERTY_SEED).unwrap_or_else(|_| "1".into()))
            .run()?;
    }
    end_to_end(filter, &binaries)?;
    before.compare(&leftovers::Machine::look()?)
}

/// The tests with whole clusters, in network and mount namespaces of their
/// own: bridges, address translation and forwarding stay there.
fn end_to_end(filter: Option<&str>, binaries: &build::Binaries) -> Result<()> {
    run::cargo(["test", "--package", "shoal-e2e", "--no-run"]).run()?;
    run::command("unshare")
        .args(["--net", "--mount", "--propagation", "private", "--", "sh", "-c"])
        .args(["ip link set lo up && exec \"$@\"", "sh"])
        .args(["cargo", "test", "--offline", "--package", "shoal-e2e", "--"])
        .args(filter)
        // One at a time: each brings up whole machines.
        .arg("--test-threads=1")
        .env("SHOAL_BIN_DIR", binaries.dir())
        .run()
}
