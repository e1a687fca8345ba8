//! Further processes: exec, the shim's half.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use shoal_model::Timestamp;
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
    handshake::{Message, ShimEnd, not_ready_in},
    making::{self, Target, failed},
    plan::{ProcessPlan, UserChoice},
    protocol::{ExecRequest, Failure, Reason, Reply},
};

/// How long making an exec may take; longer, its working directory or program is on a
/// disk that does not answer. Shorter than a client waits for an answer (ten seconds,
/// in the engine), so that it hears why.
const DEADLINE: Duration = Duration::from_secs(8);

/// A process that was execed into the container.
pub(super) struct Exec {
    /// Never used twice.
    pub(super) serial: u64,
    pub(super) exec_id: String,
    pub(super) child: Child,
    pub(super) io: ShimIo,
    pub(super) ended: Option<Ended>,
    /// The request that its client's answer belongs to.
    request: u64,
    started_at: Timestamp,
    stage: Stage,
}

/// How far an exec has come.
enum Stage {
    /// It prepares itself, and its client waits for the answer.
    Making(Making),
    /// It is its program.
    Running,
    /// It failed and its client knows; it is only to be collected, which may take as
    /// long as the kernel holds it.
    GivenUp,
}

/// What making an exec needs.
struct Making {
    socket: ShimEnd,
    give_up_at: Instant,
    terminal: bool,
    stdin: bool,
    /// It has been told to run its program.
    told: bool,
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

    pub(super) fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running)
    }

    /// Where it is heard while it is being made; its end is heard there, too.
    pub(super) fn making(&self) -> Option<BorrowedFd<'_>> {
        match &self.stage {
            Stage::Making(making) => Some(making.socket.as_fd()),
            _ => None,
        }
    }

    /// When its making will have taken too long.
    pub(super) fn give_up_at(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Making(making) => Some(making.give_up_at),
            _ => None,
        }
    }

    /// Takes its next word; whether it has become its program.
    fn hear(&mut self) -> Result<bool, Failure> {
        let Stage::Making(making) = &mut self.stage else { return Ok(false) };
        match making.socket.take()? {
            Message::Terminal(master) => {
                self.io = ShimIo::terminal(master, making.stdin).map_err(failed("terminal"))?;
            }
            Message::Ready if making.terminal && !self.io.is_terminal() => {
                return Err(Failure::new(Reason::Failed, "no terminal came"));
            }
            Message::Ready => {
                // Before it runs, so that nothing it does can be earlier.
                self.started_at = now();
                making.told = true;
                making.socket.go().map_err(failed("starting"))?;
            }
            Message::Gone if making.told => {
                self.stage = Stage::Running;
                return Ok(true);
            }
            Message::Gone => return Err(making::died()),
        }
        Ok(false)
    }
}

impl Shim {
    /// Begins an exec. Its client is answered when it runs or has failed, and nothing
    /// else the client sends is looked at before.
    pub(super) fn exec(
        &mut self,
        client: &mut Connection,
        id: u64,
        request: &ExecRequest,
    ) -> Result<(), Failure> {
        if client.subscription.is_some() {
            return Err(conflict("this connection is a stream already"));
        }
        if self.execs.iter().any(|exec| exec.exec_id == request.exec_id) {
            return Err(conflict("an exec of this id is running"));
        }
        let exec = self.begin_exec(id, request)?;
        client.subscription = Some(Subscription {
            owner: StreamOwner::Exec(exec.serial),
            stdin: request.stdin,
            outputs: [request.output; 2],
        });
        self.execs.push(exec);
        Ok(())
    }

    fn begin_exec(&mut self, id: u64, request: &ExecRequest) -> Result<Exec, Failure> {
        let init = match &self.container.phase {
            Phase::Running { paused: true, .. } => return Err(conflict("the container is paused")),
            Phase::Running { init, .. } => init,
            _ => return Err(conflict("the container is not running")),
        };
        let made = self.container.made.as_ref();
        let made = made.ok_or_else(|| conflict("the container is not running"))?;
        let plan = exec_plan(&made.process, request)?;
        let (io, stdio) = if plan.terminal {
            (ShimIo::default(), None)
        } else {
            let (io, stdio) = ShimIo::pipes(request.stdin).map_err(failed("pipes"))?;
            (io, Some(stdio))
        };
        let target = Target {
            init: init.pidfd.as_fd(),
            init_pid: init.pid,
            namespaces: made.namespaces,
            cgroup: made.cgroup.as_ref(),
            dies_with_maker: true,
        };
        let newborn = making::begin_exec(&plan, &target, stdio)?;
        self.next_serial += 1;
        Ok(Exec {
            serial: self.next_serial,
            exec_id: request.exec_id.clone(),
            child: newborn.child,
            io,
            ended: None,
            request: id,
            started_at: now(),
            stage: Stage::Making(Making {
                socket: newborn.socket,
                give_up_at: Instant::now() + DEADLINE,
                terminal: plan.terminal,
                stdin: request.stdin,
                told: false,
            }),
        })
    }

    /// Hears an exec that is being made.
    pub(super) fn hear_exec(&mut self, at: usize) {
        let Some(exec) = self.execs.get_mut(at) else { return };
        match exec.hear() {
            Ok(false) => {}
            Ok(true) => {
                let pid = exec.child.pid;
                self.answer_exec(at, Ok(Reply::ExecStarted { pid }));
            }
            Err(failure) => self.give_up_exec(at, failure),
        }
    }

    /// Gives up execs whose making takes too long.
    pub(super) fn give_up_late_execs(&mut self) {
        let now = Instant::now();
        for at in 0..self.execs.len() {
            if self.execs[at].give_up_at().is_some_and(|deadline| deadline <= now) {
                self.give_up_exec(at, not_ready_in(DEADLINE));
            }
        }
    }

    fn give_up_exec(&mut self, at: usize, failure: Failure) {
        let exec = &mut self.execs[at];
        // If it has ended already there is only to collect it.
        let _ = exec.child.signal(rustix::process::Signal::KILL.as_raw());
        exec.io.close();
        exec.stage = Stage::GivenUp;
        self.answer_exec(at, Err(failure));
    }

    /// Answers an exec's client, if it is still there, and goes on with what it has
    /// sent meanwhile.
    fn answer_exec(&mut self, at: usize, outcome: Result<Reply, Failure>) {
        let Exec { serial, request, .. } = self.execs[at];
        let owner = StreamOwner::Exec(serial);
        let listens = |client: &Connection| client.subscription.is_some_and(|s| s.owner == owner);
        let id = self.clients.iter().position(|client| client.as_ref().is_some_and(listens));
        let Some(id) = id else { return };
        if let Some(client) = &mut self.clients[id] {
            if outcome.is_err() {
                client.subscription = None;
            }
            client.respond(request, outcome);
        }
        self.process_frames(id);
    }

    pub(super) fn running_exec(&self, exec_id: &str) -> Result<&Exec, Failure> {
        self.execs
            .iter()
            .find(|exec| exec.exec_id == exec_id && !matches!(exec.stage, Stage::GivenUp))
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
            if self.execs[at].making().is_some() {
                // With the container, before it was heard.
                self.give_up_exec(at, making::died());
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
pub(super) fn exit_record(ended: Ended, started_at: Option<Timestamp>) -> ExitRecord {
    let (exit_code, signal) = match ended {
        Ended::Exited(code) => (code, None),
        Ended::Signaled(number) => (128 + number, Some(number)),
    };
    ExitRecord { exit_code, signal, oom_killed: false, error: None, started_at, finished_at: now() }
}
