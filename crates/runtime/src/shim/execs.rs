//! Further processes: exec, the shim's half.

use std::os::fd::AsFd;

use shoal_sys::process::{Child, Ended};

use super::{
    Owner, Shim,
    connection::{Connection, StreamOwner, Subscription},
    container::Phase,
    io_ends::ShimIo,
    now,
    requests::conflict,
};
use crate::{
    bundle::ExitRecord,
    making::{self, Target, failed},
    plan::{ProcessPlan, UserChoice},
    protocol::{ExecRequest, Failure, Reason, Reply},
};

/// A process that was execed into the container.
pub(super) struct Exec {
    /// Never used twice.
    pub(super) serial: u64,
    pub(super) exec_id: String,
    pub(super) child: Child,
    pub(super) io: ShimIo,
    pub(super) started_at: shoal_model::Timestamp,
    pub(super) ended: Option<Ended>,
}

impl Exec {
    pub(super) fn note_end(&mut self) {
        if self.ended.is_none() {
            self.ended = match self.child.ended() {
                Ok(ended) => ended,
                // Nothing more can be learned of it.
                Err(_) => Some(Ended::Exited(128)),
            };
        }
    }
}

impl Shim {
    pub(super) fn exec(
        &mut self,
        client: &mut Connection,
        request: ExecRequest,
    ) -> Result<Reply, Failure> {
        if client.subscription.is_some() {
            return Err(conflict("this connection is a stream already"));
        }
        if self.execs.iter().any(|exec| exec.exec_id == request.exec_id) {
            return Err(conflict("an exec of this id is running"));
        }
        let exec = self.spawn_exec(&request)?;
        let pid = exec.child.pid;
        client.subscription = Some(Subscription {
            owner: StreamOwner::Exec(exec.serial),
            stdin: request.stdin,
            outputs: [request.output; 2],
        });
        self.execs.push(exec);
        Ok(Reply::ExecStarted { pid })
    }

    fn spawn_exec(&mut self, request: &ExecRequest) -> Result<Exec, Failure> {
        let init = match &self.container.phase {
            Phase::Running { paused: true, .. } => return Err(conflict("the container is paused")),
            Phase::Running { init, .. } => init,
            _ => return Err(conflict("the container is not running")),
        };
        let made = self.container.made.as_ref();
        let made = made.ok_or_else(|| conflict("the container is not running"))?;
        let plan = exec_plan(&made.process, request)?;
        let (io, stdio) = if plan.terminal {
            (None, None)
        } else {
            let (io, stdio) = ShimIo::pipes(request.stdin).map_err(failed("pipes"))?;
            (Some(io), Some(stdio))
        };
        let target = Target {
            init: init.pidfd.as_fd(),
            init_pid: init.pid,
            namespaces: made.namespaces,
            cgroup: made.cgroup.as_ref(),
            dies_with_maker: true,
        };
        let started_at = now();
        let newborn = making::make_exec(&plan, &target, stdio)?;
        if let Err(failure) = newborn.socket.run() {
            making::abandon(&newborn.child);
            return Err(failure);
        }
        let io = match (io, newborn.terminal) {
            (Some(io), _) => io,
            (None, Some(master)) => {
                ShimIo::terminal(master, request.stdin).map_err(failed("terminal"))?
            }
            (None, None) => return Err(Failure::new(Reason::Failed, "no terminal came")),
        };
        self.next_serial += 1;
        Ok(Exec {
            serial: self.next_serial,
            exec_id: request.exec_id.clone(),
            child: newborn.child,
            io,
            started_at,
            ended: None,
        })
    }

    pub(super) fn running_exec(&self, exec_id: &str) -> Result<&Exec, Failure> {
        self.execs
            .iter()
            .find(|exec| exec.exec_id == exec_id)
            .ok_or_else(|| Failure::new(Reason::NotFound, format!("no running exec {exec_id}")))
    }

    /// Tells the streams of execs that have ended, and forgets these.
    pub(super) fn end_execs(&mut self) {
        let mut at = 0;
        while at < self.execs.len() {
            if self.execs[at].ended.is_none() {
                at += 1;
                continue;
            }
            self.drain_output(Owner::Exec(at));
            let exec = self.execs.remove(at);
            let Some(ended) = exec.ended else { continue };
            let record = exit_record(ended, Some(exec.started_at));
            let owner = StreamOwner::Exec(exec.serial);
            for client in self.clients.iter_mut().flatten() {
                if client.subscription.is_some_and(|subscription| subscription.owner == owner) {
                    client.end_stream(&record);
                }
            }
        }
    }
}

/// The first process's plan with what the request changes. Confinement is the
/// same unless it is privileged.
fn exec_plan(process: &ProcessPlan, request: &ExecRequest) -> Result<ProcessPlan, Failure> {
    if request.args.is_empty() {
        return Err(Failure::new(Reason::Invalid, "no command specified"));
    }
    let cwd = match &request.cwd {
        Some(cwd) if !cwd.starts_with('/') => {
            return Err(Failure::new(Reason::Invalid, format!("cwd {cwd:?} is not absolute")));
        }
        Some(cwd) => cwd.into(),
        None => process.cwd.clone(),
    };
    let user = match &request.user_text {
        Some(user) => {
            let groups = match &process.user {
                UserChoice::Text { groups, .. } => groups.clone(),
                UserChoice::Ids { groups, .. } => groups.iter().map(u32::to_string).collect(),
            };
            UserChoice::Text { user: user.clone(), groups }
        }
        None => process.user.clone(),
    };
    let confinement = match request.privileged {
        true => process.confinement.privileged()?,
        false => process.confinement.clone(),
    };
    Ok(ProcessPlan {
        args: request.args.clone(),
        env: request.env.clone(),
        cwd,
        terminal: request.terminal,
        size: request.size,
        user,
        umask: process.umask,
        confinement,
    })
}

/// What an end means in Docker's numbers.
pub(super) fn exit_record(ended: Ended, started_at: Option<shoal_model::Timestamp>) -> ExitRecord {
    let (exit_code, signal) = match ended {
        Ended::Exited(code) => (code, None),
        Ended::Signaled(number) => (128 + number, Some(number)),
    };
    ExitRecord { exit_code, signal, oom_killed: false, error: None, started_at, finished_at: now() }
}
