//! `kill`: sends a signal.

use std::os::fd::AsFd;

use super::{
    Global,
    arguments::{Arguments, invalid},
    state::{self, Status},
};
use crate::{
    making::failed,
    protocol::{Failure, Reason},
};

pub(super) fn run(global: &Global, arguments: &mut Arguments) -> Result<(), Failure> {
    let mut all = false;
    while let Some(option) = arguments.option() {
        match option.as_str() {
            "--all" | "-a" => all = true,
            other => return Err(arguments.unknown(other)),
        }
    }
    let id = arguments.word("container id")?;
    let words = arguments.rest();
    let signal = match words.as_slice() {
        [] => "TERM",
        [signal] => signal,
        [_, extra, ..] => return Err(invalid(format!("unexpected argument {extra:?}"))),
    };
    let signal: shoal_model::Signal =
        signal.parse().map_err(|error: shoal_model::SignalError| invalid(error.to_string()))?;
    let (dir, record) = state::read(global, &id)?;
    let stopped = record.status(&dir) == Status::Stopped;
    if stopped && !all {
        return Err(Failure::new(Reason::Conflict, format!("container {id} is not running")));
    }
    if !stopped {
        send(&record, signal.number().into())?;
    }
    if all && let Some(cgroup) = record.cgroup()? {
        for pid in cgroup.processes().unwrap_or_default() {
            // Those that ended meanwhile need no signal.
            let _ = shoal_sys::process::signal_pid(pid, signal.number().into());
        }
    }
    Ok(())
}

/// To the very process that was created: the number may have been given away.
pub(super) fn send(record: &state::Record, signal: i32) -> Result<(), Failure> {
    let what = || format!("container {}", record.id);
    let pidfd = shoal_sys::process::open_pidfd(record.pid).map_err(failed(what()))?;
    match state::process_start(record.pid) {
        Some((start, _)) if start == record.pid_start => {
            shoal_sys::process::signal(pidfd.as_fd(), signal).map_err(failed(what()))
        }
        _ => Err(Failure::new(Reason::Conflict, format!("{} is not running", what()))),
    }
}
