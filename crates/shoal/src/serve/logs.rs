//! The daemon's own log: one line per event on standard error.

use std::env;
use std::io::{IsTerminal, stderr};

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

/// Libraries whose own words would drown ours; a filter may name them again.
const QUIET: &str = "openraft=error,h2=warn,hyper=warn,hyper_util=warn,rustls=warn,tonic=warn,\
                     tower=warn,netlink_proto=error,reqwest=warn,hickory_proto=warn";

/// Starts logging at a level, or with a filter as `RUST_LOG` has it, which
/// goes before.
///
/// # Errors
/// When the filter cannot be read.
pub(super) fn start(level: &str) -> Result<()> {
    let filter = match env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(filter),
        _ => EnvFilter::try_new(format!("{QUIET},{level}")),
    };
    let filter = filter.with_context(|| format!("reading the log level {level:?}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|error| anyhow::anyhow!("starting the log: {error}"))
}
