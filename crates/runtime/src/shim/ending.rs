//! The end of a container: read, write down, tell, clean up. In this order.

use std::time::Instant;

use super::{
    LINGER, Owner, Shim,
    connection::{Connection, StreamOwner},
    container::Phase,
    execs::exit_record,
    now,
};
use shoal_sys::process::Ended;

use crate::{
    bundle::{ExitRecord, SOCKET_NAME},
    making::KILL_DEADLINE,
    protocol::{ABANDONED_AFTER, Failure, Reason, Reply},
};

/// What an exec died of whose end nobody could ask for.
const KILLED: i32 = 9;

impl Shim {
    /// Does all of it once the first process has ended.
    pub(super) fn end_container(&mut self) {
        self.give_up_if_abandoned();
        let Phase::Ending { ended, started_at } = &self.container.phase else { return };
        let record = match ended {
            Ok(ended) => exit_record(*ended, *started_at),
            Err(failure) => failure_record(failure),
        };
        self.stop_the_rest();
        self.drain_output(Owner::Container);
        if let Some(log) = &mut self.log {
            log.finish();
        }
        let oom_kills = self.container.cgroup().and_then(|group| group.oom_kill_count().ok());
        let oom_killed = oom_kills.is_some_and(|count| count > 0);
        let record = ExitRecord { oom_killed, finished_at: now(), ..record };
        if let Err(error) = self.bundle.write_exit(&record) {
            // Clients still learn it; only a daemon that is down now will not.
            complain(&shoal_model::Classify::chain(&error));
        }
        self.container.phase = Phase::Exited(record.clone());
        self.tell(&record);
        self.clean_up();
        self.leave_by = Some(Instant::now() + LINGER);
    }

    /// A container that was made and forgotten ends by itself.
    fn give_up_if_abandoned(&mut self) {
        let alone = self.has_no_clients() && self.alone_since.elapsed() >= ABANDONED_AFTER;
        if alone && let Phase::Created { init, .. } = &self.container.phase {
            crate::making::abandon(init);
            let failure = Failure::new(Reason::Timeout, "it was made and never started");
            self.container.set_ending(Err(failure));
        }
    }

    /// Processes that outlive the first one: all of them without an own pid
    /// namespace, and those execed a moment ago.
    fn stop_the_rest(&mut self) {
        self.container.io.end_input();
        for exec in &mut self.execs {
            if exec.ended.is_none() {
                let _ = exec.child.signal(rustix::process::Signal::KILL.as_raw());
            }
        }
        if let Some(cgroup) = self.container.cgroup() {
            // A frozen group cannot be killed on version 1.
            let _ = cgroup.thaw();
            if let Err(error) = cgroup.kill_all() {
                complain(&format!("killing what is left: {error}"));
            }
        }
        // One that the kernel holds, at a disk that does not answer, ends without us.
        let deadline = Instant::now() + KILL_DEADLINE;
        for exec in &mut self.execs {
            if exec.ended.is_none() {
                let left = deadline.saturating_duration_since(Instant::now());
                let ended = exec.child.wait_for(left).ok().flatten();
                exec.ended = ended.or(Some(Ended::Signaled(KILLED)));
            }
        }
        self.end_execs();
    }

    fn tell(&mut self, record: &ExitRecord) {
        let waits = std::mem::take(&mut self.container.waits);
        for (client, request) in waits {
            if let Some(client) = self.clients.get_mut(client).and_then(Option::as_mut) {
                client.respond(request, Ok(Reply::Exited(record.clone())));
            }
        }
        let listens = |client: &&mut Connection| {
            client.subscription.is_some_and(|s| s.owner == StreamOwner::Container)
        };
        for client in self.clients.iter_mut().flatten().filter(listens) {
            client.end_stream(record);
        }
    }

    fn clean_up(&mut self) {
        self.container.io.close();
        if let Some(cgroup) = self.container.cgroup()
            && let Err(error) = cgroup.remove()
        {
            complain(&format!("removing the control group: {error}"));
        }
        self.listener = None;
        let _ = std::fs::remove_file(SOCKET_NAME);
    }
}

fn failure_record(failure: &Failure) -> ExitRecord {
    ExitRecord {
        exit_code: failure.exit_code(),
        signal: None,
        oom_killed: false,
        error: Some(failure.message.clone()),
        started_at: None,
        finished_at: now(),
    }
}

/// Into `shim.log`, which is standard error.
fn complain(text: &str) {
    use std::io::Write;
    // Nobody could be told of a failure to complain.
    let _ = writeln!(std::io::stderr(), "{text}");
}
