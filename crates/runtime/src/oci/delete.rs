//! `delete`: removes what is left of a stopped container.

use std::time::{Duration, Instant};

use super::{
    Global,
    arguments::Arguments,
    kill,
    state::{self, Record, Status},
};
use crate::{
    making::failed,
    protocol::{Failure, Reason},
};

/// How long a killed process may take to be gone.
const DEADLINE: Duration = Duration::from_secs(10);

pub(super) fn run(global: &Global, arguments: &mut Arguments) -> Result<(), Failure> {
    let mut force = false;
    while let Some(option) = arguments.option() {
        match option.as_str() {
            "--force" | "-f" => force = true,
            other => return Err(arguments.unknown(other)),
        }
    }
    let id = arguments.word("container id")?;
    arguments.end()?;
    let (dir, record) = match state::read(global, &id) {
        Err(failure) if force && failure.reason == Reason::NotFound => return Ok(()),
        other => other?,
    };
    if record.status(&dir) != Status::Stopped {
        if !force {
            let text = format!("container {id} is not stopped");
            return Err(Failure::new(Reason::Conflict, text));
        }
        stop(&dir, &record)?;
    }
    if let Some(cgroup) = record.cgroup()? {
        // A frozen group cannot be killed on version 1.
        let _ = cgroup.thaw();
        cgroup.kill_all().map_err(failed("killing what is left"))?;
        cgroup.remove().map_err(failed("removing the control group"))?;
    }
    std::fs::remove_dir_all(&dir).map_err(failed(dir.display()))
}

fn stop(dir: &std::path::Path, record: &Record) -> Result<(), Failure> {
    kill::send(record, rustix::process::Signal::KILL.as_raw())?;
    let begin = Instant::now();
    while record.status(dir) != Status::Stopped {
        if begin.elapsed() > DEADLINE {
            let text = format!("container {} does not die", record.id);
            return Err(Failure::new(Reason::Timeout, text));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
