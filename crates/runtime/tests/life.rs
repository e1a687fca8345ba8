//! A container's life, from launch to the last trace.

mod common;

use common::{Setup, collect, eventually, read_until, run, script, succeed};
use shoal_runtime::{
    bundle::Bundle,
    client::{CallError, Connection, Output},
    protocol::{Operation, Reason, Reply, Status},
};

#[test]
fn a_program_runs_and_leaves_nothing() {
    let (output, exit) = run(Setup::new(&["echo", "hello"]));
    assert_eq!(output, "hello\n");
    assert_eq!((exit.exit_code, exit.signal, exit.oom_killed), (0, None, false));
    assert!(exit.started_at.unwrap() <= exit.finished_at);
}
