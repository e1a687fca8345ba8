//! The shim: one process per container, one thread, one loop.
//!
//! Every turn of the loop asks the parts what they wait for, polls, lets each
//! ready part do its step, and looks whether the container has ended. Interest is
//! computed anew each turn from the state, so back-pressure is nothing but a
//! descriptor left out. Only making the container blocks, for milliseconds.
//!
//! What the shim must not do: hold on to anything of the daemon's; tell anybody of
//! an end before `exit.json` is in place; leave a process, cgroup or socket.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use shoal_model::Timestamp;

use crate::{
    bundle::{Bundle, SOCKET_NAME},
    protocol::ABANDONED_AFTER,
};

mod connection;
mod container;
mod create;
mod ending;
mod execs;
mod io_ends;
mod log;
mod pump;
mod requests;

use connection::{ClientId, Connection};
use container::{Container, Phase};
use execs::Exec;
use io_ends::ShimIo;
use log::Log;

/// Most clients at a time: attaches, execs and daemons of one container. More is
/// a mistake, and each costs memory.
const MAX_CLIENTS: usize = 256;
/// How long clients that do not read may keep an ended container's shim.
const LINGER: Duration = Duration::from_secs(10);

/// Without events for so long the shim gives back memory it needed for work.
const IDLE_AFTER: Duration = Duration::from_millis(500);

/// All of it.
struct Shim {
    bundle: Bundle,
    listener: Option<UnixListener>,
    container: Container,
    execs: Vec<Exec>,
    /// The last exec's number.
    next_serial: u64,
    /// By [`ClientId`]; `None`: free.
    clients: Vec<Option<Connection>>,
    log: Option<Log>,
    /// One read's worth, kept between turns while there is traffic.
    buffer: Vec<u8>,
    /// Something happened since memory was last given back.
    untidy: bool,
    /// When the last client left.
    alone_since: Instant,
    /// Set when everybody has been told of the end.
    leave_by: Option<Instant>,
}

/// What a ready descriptor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Listener,
    Client(ClientId),
    /// The container's first process.
    Init,
    /// An exec's process, by place in the list.
    Exec(usize),
    /// An exec that is being made, by place in the list.
    Making(usize),
    /// Output to be read, of the container or an exec.
    Output(Owner, usize),
    /// Input that can be written.
    Input(Owner),
}

/// Whose stdio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Container,
    Exec(usize),
}

/// Runs the shim of the bundle in `dir`, with the engine's connection as standard
/// input. Returns when it has nothing left to do.
///
/// # Errors
/// What kept it from starting at all; afterwards everything is told to clients.
pub(crate) fn run(dir: &std::path::Path) -> io::Result<()> {
    let control = take_over()?;
    let bundle = Bundle::new(std::fs::canonicalize(dir)?);
    rustix::process::chdir(bundle.dir())?;
    let mut shim = Shim {
        listener: Some(listen()?),
        container: Container::new(),
        execs: Vec::new(),
        next_serial: 0,
        clients: Vec::new(),
        log: None,
        buffer: Vec::new(),
        untidy: true,
        alone_since: Instant::now(),
        leave_by: None,
        bundle,
    };
    shim.accept(control);
    while !shim.is_finished() {
        shim.turn()?;
    }
    Ok(())
}

/// Makes this process independent of whoever started it, and hides it from what it
/// will start. Returns the engine's connection.
fn take_over() -> io::Result<UnixStream> {
    shoal_sys::process::close_inherited(3);
    // Nothing in a container may trace or read a process that is on its way in
    // (CVE-2016-9962).
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let _ = rustix::thread::set_name(c"shoal-shim");
    // A service manager that ends everything at once must not cut containers off
    // before the engine has stopped them.
    shoal_sys::process::ignore_polite_ends();
    // Fails for who already leads a session, which is as good.
    let _ = rustix::process::setsid();
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(control.into())
}

fn listen() -> io::Result<UnixListener> {
    match std::fs::remove_file(SOCKET_NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Only root may speak to a shim.
    let old = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(SOCKET_NAME);
    rustix::process::umask(old);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Shim {
    fn turn(&mut self) -> io::Result<()> {
        self.give_up_late_execs();
        let timeout = self.timeout();
        let (sources, ready) = {
            let interests = self.interests();
            let mut fds: Vec<PollFd<'_>> = interests
                .iter()
                .map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
                .collect();
            let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if fds.iter().all(|fd| fd.revents().is_empty()) {
                drop(fds);
                drop(interests);
                self.tidy();
                return Ok(());
            }
            let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
            let sources: Vec<Source> = interests.iter().map(|(source, ..)| *source).collect();
            (sources, ready)
        };
        self.untidy = true;
        // Execs leave their list only at the end of the turn, so places stay valid.
        for (source, flags) in sources.into_iter().zip(ready) {
            if !flags.is_empty() {
                self.handle(source, flags);
            }
        }
        self.end_execs();
        self.end_container();
        self.forget_clients();
        Ok(())
    }

    /// Nothing happened for a while: gives memory back, and sees whether that was
    /// too long.
    fn tidy(&mut self) {
        if self.untidy {
            self.buffer = Vec::new();
            shoal_sys::process::trim_memory();
            self.untidy = false;
        }
        self.end_container();
    }

    fn handle(&mut self, source: Source, flags: PollFlags) {
        match source {
            Source::Listener => self.accept_all(),
            Source::Client(id) => self.serve_client(id, flags),
            Source::Init => self.container.init_ended(),
            Source::Exec(at) => {
                if let Some(exec) = self.execs.get_mut(at) {
                    exec.note_end();
                }
            }
            Source::Making(at) => self.hear_exec(at),
            Source::Output(owner, which) => self.pump_output(owner, which),
            Source::Input(owner) => self.pump_input(owner),
        }
    }

    fn interests(&self) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        let mut list = Vec::with_capacity(8);
        if let Some(listener) = &self.listener {
            list.push((Source::Listener, listener.as_fd(), PollFlags::IN));
        }
        if let Some(pidfd) = self.container.pidfd_to_watch() {
            list.push((Source::Init, pidfd, PollFlags::IN));
        }
        self.io_interests(Owner::Container, &self.container.io, &mut list);
        for (at, exec) in self.execs.iter().enumerate() {
            if let Some(socket) = exec.making() {
                // What it writes comes after the answer that it runs.
                list.push((Source::Making(at), socket, PollFlags::IN));
                continue;
            }
            if exec.ended.is_none() {
                list.push((Source::Exec(at), exec.child.pidfd.as_fd(), PollFlags::IN));
            }
            self.io_interests(Owner::Exec(at), &exec.io, &mut list);
        }
        for (id, client) in self.clients.iter().enumerate() {
            let Some(client) = client else { continue };
            let flags = client.interest(self.input_has_room(client));
            if let Some(flags) = flags {
                list.push((Source::Client(id), client.stream.as_fd(), flags));
            }
        }
        list
    }

    fn io_interests<'a>(
        &'a self,
        owner: Owner,
        io: &'a ShimIo,
        list: &mut Vec<(Source, BorrowedFd<'a>, PollFlags)>,
    ) {
        if !self.listeners_lag(owner) {
            for (which, end) in io.outputs.iter().enumerate() {
                if let Some(end) = end {
                    list.push((Source::Output(owner, which), end.as_fd(), PollFlags::IN));
                }
            }
        }
        if let Some(input) = io.input_to_write() {
            list.push((Source::Input(owner), input, PollFlags::OUT));
        }
    }

    /// How long the loop may sleep.
    fn timeout(&self) -> Option<Duration> {
        let until = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        if let Some(deadline) = self.leave_by {
            return Some(until(deadline));
        }
        let waits_alone = self.has_no_clients()
            && matches!(self.container.phase, Phase::Idle | Phase::Created { .. });
        let deadline = waits_alone.then(|| until(self.alone_since + ABANDONED_AFTER));
        // While untidy, wake once more.
        let tidy = self.untidy.then_some(IDLE_AFTER);
        let late = self.execs.iter().filter_map(Exec::give_up_at).min().map(until);
        [deadline, tidy, late].into_iter().flatten().min()
    }

    fn has_no_clients(&self) -> bool {
        self.clients.iter().all(Option::is_none)
    }

    /// Whether everything is done and told, or nobody will ever ask for anything.
    fn is_finished(&self) -> bool {
        match self.leave_by {
            Some(deadline) => {
                let flushed = self.clients.iter().flatten().all(|client| client.is_flushed());
                flushed || Instant::now() >= deadline
            }
            None => matches!(self.container.phase, Phase::Idle) && self.has_no_clients(),
        }
    }
}

/// The time.
pub(crate) fn now() -> Timestamp {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A clock before 1970 is wrong by more than any answer could mend.
    let nanos = elapsed.map_or(0, |elapsed| elapsed.as_nanos());
    Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// A pipe whose ends close on exec.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}
