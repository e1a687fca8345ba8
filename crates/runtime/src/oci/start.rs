//! `start`: lets a created container's program run.

use super::{Global, arguments::Arguments, state, state::Status};
use crate::{
    handshake::ShimEnd,
    making::failed,
    protocol::{Failure, Reason},
};

pub(super) fn run(global: &Global, arguments: &mut Arguments) -> Result<(), Failure> {
    let id = arguments.word("container id")?;
    arguments.end()?;
    let (dir, record) = state::read(global, &id)?;
    if record.status(&dir) != Status::Created {
        let text = format!("container {id} is not in the state created");
        return Err(Failure::new(Reason::Conflict, text));
    }
    let gate = state::gate(&dir);
    let process = ShimEnd::connect(&gate).map_err(failed(format!("container {id}")))?;
    let started = process.run();
    // Whether it runs or has failed: it waits no more.
    std::fs::remove_file(&gate).map_err(failed(gate.display()))?;
    started
}
