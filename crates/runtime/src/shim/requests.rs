//! Clients: letting them in, reading their frames, doing what they ask.

use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;

use super::{
    MAX_CLIENTS, Owner, Shim,
    connection::{ClientId, Connection, StreamOwner, Subscription},
    container::Phase,
    io_ends::{STDERR, STDOUT},
};
use crate::{
    init,
    protocol::{
        Decoder, ExecState, Failure, Frame, FrameKind, Operation, Reason, Reply, Request,
        WindowSize,
    },
};

impl Shim {
    pub(super) fn accept_all(&mut self) {
        while let Some(Ok((stream, _))) = self.listener.as_ref().map(|l| l.accept()) {
            self.accept(stream);
        }
    }

    /// Takes a client in; one too many is shut out by closing its connection.
    pub(super) fn accept(&mut self, stream: UnixStream) {
        let Ok(client) = Connection::new(stream) else { return };
        match self.clients.iter().position(Option::is_none) {
            Some(free) => self.clients[free] = Some(client),
            None if self.clients.len() < MAX_CLIENTS => self.clients.push(Some(client)),
            None => {}
        }
    }

    pub(super) fn serve_client(&mut self, id: ClientId, flags: PollFlags) {
        let mut buffer = std::mem::take(&mut self.buffer);
        if let Some(client) = self.clients.get_mut(id).and_then(Option::as_mut) {
            if flags.contains(PollFlags::OUT) {
                client.flush();
            }
            if flags.contains(PollFlags::IN) && client.receive(&mut buffer).is_err() {
                client.break_off();
            } else if flags.intersects(PollFlags::HUP | PollFlags::ERR) {
                client.hung_up();
                // What it sent before is still there to be read.
                if client.receive(&mut buffer).is_err() {
                    client.break_off();
                }
            }
        }
        self.buffer = buffer;
        self.process_frames(id);
    }

    /// Forgets clients that are gone or have been told everything. At the end of a
    /// turn only, so that places stay valid within it.
    pub(super) fn forget_clients(&mut self) {
        for id in 0..self.clients.len() {
            if self.clients[id].as_ref().is_some_and(Connection::is_over) {
                self.clients[id] = None;
                self.container.waits.retain(|(client, _)| *client != id);
                self.alone_since = std::time::Instant::now();
            }
        }
        while self.clients.last().is_some_and(Option::is_none) {
            self.clients.pop();
        }
    }

    /// Takes frames as long as there are whole ones and there is room for input.
    pub(super) fn process_frames(&mut self, id: ClientId) {
        while let Some(mut client) = self.clients.get_mut(id).and_then(Option::take) {
            let more = self.process_one(id, &mut client);
            if !more {
                client.decoder.shrink();
            }
            if let Some(slot) = self.clients.get_mut(id) {
                *slot = Some(client);
            }
            if !more {
                return;
            }
        }
    }

    /// Whether there may be another. The client is out of the list meanwhile.
    fn process_one(&mut self, id: ClientId, client: &mut Connection) -> bool {
        if !self.input_has_room(client) {
            return false;
        }
        let subscription = client.subscription;
        let request = match client.decoder.next_frame() {
            Ok(Some(Frame { kind: FrameKind::Stdin, payload })) => {
                if let Some(io) = self.input_of(subscription) {
                    io.take_input(payload);
                }
                return true;
            }
            Ok(Some(Frame { kind: FrameKind::StdinClose, .. })) => {
                self.end_input(subscription);
                return true;
            }
            Ok(Some(frame @ Frame { kind: FrameKind::Request, .. })) => frame.request().ok(),
            Ok(None) if client.read_ended => {
                // A half-close by shutdown(2), or the client is gone; half a frame
                // is worth nothing.
                client.decoder = Decoder::new();
                self.end_input(subscription);
                return false;
            }
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => None,
        };
        match request {
            Some(request) => {
                self.perform(id, client, request);
                true
            }
            None => {
                client.break_off();
                false
            }
        }
    }

    fn input_of(
        &mut self,
        subscription: Option<Subscription>,
    ) -> Option<&mut super::io_ends::ShimIo> {
        let subscription = subscription.filter(|subscription| subscription.stdin)?;
        let owner = Owner::of(subscription.owner, &self.execs)?;
        self.io_of(owner)
    }

    /// A stream's client has no more input. The container's own input ends with
    /// it only if it was to be used once.
    fn end_input(&mut self, subscription: Option<Subscription>) {
        let Some(subscription) = subscription else { return };
        let once = self.container.made.as_ref().is_some_and(|made| made.config.stdin_once);
        if (subscription.owner != StreamOwner::Container || once)
            && let Some(io) = self.input_of(Some(subscription))
        {
            io.end_input();
        }
    }

    fn perform(&mut self, id: ClientId, client: &mut Connection, request: Request) {
        let Request { id: request, operation } = request;
        let outcome = match operation {
            Operation::Create => {
                self.container.netns = client.fds.pop();
                self.create().map(|pid| Reply::Created { pid })
            }
            Operation::Start => self.start().map(|started_at| Reply::Started { started_at }),
            Operation::State => Ok(self.state()),
            Operation::Kill { signal, all, exec } => {
                self.kill(signal, all, exec.as_deref()).map(|()| Reply::Done)
            }
            Operation::Resize { exec, size } => {
                self.resize(exec.as_deref(), size).map(|()| Reply::Done)
            }
            Operation::Attach { stdin, stdout, stderr } => {
                self.attach(client, stdin, [stdout, stderr])
            }
            Operation::Exec(exec) => match self.exec(client, request, &exec) {
                Ok(()) => return,
                Err(failure) => Err(failure),
            },
            Operation::Wait => match &self.container.phase {
                Phase::Exited(record) => Ok(Reply::Exited(record.clone())),
                _ => {
                    self.container.waits.push((id, request));
                    return;
                }
            },
            Operation::Pause => self.pause(true).map(|()| Reply::Done),
            Operation::Resume => self.pause(false).map(|()| Reply::Done),
            Operation::Update(limits) => self.update(&limits).map(|()| Reply::Done),
            Operation::Delete => self.delete().map(|()| Reply::Done),
        };
        client.respond(request, outcome);
    }

    fn state(&self) -> Reply {
        let mut report = self.container.report();
        let running = self.execs.iter().filter(|exec| exec.is_running() && exec.ended.is_none());
        report.execs = running
            .map(|exec| ExecState { exec_id: exec.exec_id.clone(), pid: exec.child.pid })
            .collect();
        Reply::State(report)
    }

    fn attach(
        &mut self,
        client: &mut Connection,
        stdin: bool,
        outputs: [bool; 2],
    ) -> Result<Reply, Failure> {
        if client.subscription.is_some() {
            return Err(conflict("this connection is a stream already"));
        }
        match self.container.phase {
            Phase::Idle => return Err(conflict("the container has not been made")),
            Phase::Exited(_) => return Err(conflict("the container has ended")),
            _ => {}
        }
        let outputs = match self.container.io.is_terminal() {
            true => [outputs[STDOUT] || outputs[STDERR], false],
            false => outputs,
        };
        client.subscription = Some(Subscription { owner: StreamOwner::Container, stdin, outputs });
        Ok(Reply::Attached)
    }

    fn kill(&mut self, signal: i32, all: bool, exec: Option<&str>) -> Result<(), Failure> {
        let gone = || Failure::new(Reason::NotFound, "the process has ended");
        let sent = |result: std::io::Result<()>| {
            result.map_err(|error| match error.raw_os_error() {
                Some(code) if code == rustix::io::Errno::SRCH.raw_os_error() => gone(),
                _ => Failure::new(Reason::Invalid, format!("signal {signal}: {error}")),
            })
        };
        if let Some(exec) = exec {
            return sent(self.running_exec(exec)?.child.signal(signal));
        }
        let init = self.container.init().ok_or_else(gone)?;
        sent(init.signal(signal))?;
        if all && let Some(cgroup) = self.container.cgroup() {
            for pid in cgroup.processes().unwrap_or_default() {
                // Those that ended meanwhile need no signal.
                let _ = shoal_sys::process::signal_pid(pid, signal);
            }
        }
        if signal == rustix::process::Signal::KILL.as_raw() {
            // A frozen process of version 1 cannot even die.
            self.thaw();
        }
        Ok(())
    }

    fn resize(&mut self, exec: Option<&str>, size: WindowSize) -> Result<(), Failure> {
        let io = match exec {
            Some(exec) => &self.running_exec(exec)?.io,
            None => &self.container.io,
        };
        let terminal = io.terminal.as_ref().ok_or_else(|| conflict("there is no terminal"))?;
        init::resize(terminal, size)
            .map_err(|error| Failure::new(Reason::Failed, format!("terminal size: {error}")))
    }

    fn pause(&mut self, wanted: bool) -> Result<(), Failure> {
        let frozen = |error| Failure::new(Reason::Failed, format!("control group: {error}"));
        let cgroup = self.container.cgroup().cloned();
        let cgroup = cgroup.ok_or_else(|| conflict("the container has no control group"))?;
        match &mut self.container.phase {
            Phase::Running { paused, .. } if *paused != wanted => {
                if wanted { cgroup.freeze() } else { cgroup.thaw() }.map_err(frozen)?;
                *paused = wanted;
                Ok(())
            }
            Phase::Running { paused: true, .. } => Err(conflict("the container is paused already")),
            Phase::Running { .. } => Err(conflict("the container is not paused")),
            _ => Err(conflict("the container is not running")),
        }
    }

    pub(super) fn thaw(&mut self) {
        let cgroup = self.container.cgroup().cloned();
        if let (Phase::Running { paused, .. }, Some(cgroup)) = (&mut self.container.phase, cgroup)
            && *paused
            && cgroup.thaw().is_ok()
        {
            *paused = false;
        }
    }

    fn update(&mut self, limits: &shoal_sys::cgroup::Limits) -> Result<(), Failure> {
        let cgroup = self.container.cgroup();
        let cgroup = cgroup.ok_or_else(|| conflict("the container has no control group"))?;
        cgroup.apply(limits).map_err(|error| Failure::new(Reason::Invalid, error.to_string()))
    }

    fn delete(&mut self) -> Result<(), Failure> {
        match &self.container.phase {
            Phase::Created { init, .. } | Phase::Running { init, .. } => {
                // It may end by itself meanwhile.
                let _ = init.signal(rustix::process::Signal::KILL.as_raw());
                self.thaw();
            }
            Phase::Idle => {
                let never = Failure::new(Reason::Conflict, "deleted before it was made");
                self.container.set_ending(Err(never));
            }
            Phase::Ending { .. } | Phase::Exited(_) => {}
        }
        Ok(())
    }
}

pub(super) fn conflict(message: &str) -> Failure {
    Failure::new(Reason::Conflict, message)
}
