//! Making the container, and starting it: the shim's half.

use shoal_model::Timestamp;

use super::{
    Shim,
    container::{Made, Phase},
    io_ends::ShimIo,
    log::Log,
    now,
    requests::conflict,
};
use crate::{
    making::{self, Recipe, failed, joined_by_execs, new_cgroup},
    plan::{Plan, ProcessPlan},
    protocol::{Failure, Reason},
};

impl Shim {
    /// Makes the container up to just before its program runs. On failure nothing
    /// of it is left, and the shim is about to leave.
    pub(super) fn create(&mut self) -> Result<i32, Failure> {
        if !matches!(self.container.phase, Phase::Idle) {
            return Err(conflict("the container has been made already"));
        }
        let result = self.try_create();
        if let Err(failure) = &result {
            self.container.set_ending(Err(failure.clone()));
        }
        self.container.netns = None;
        result
    }

    fn try_create(&mut self) -> Result<i32, Failure> {
        let read = |error: crate::bundle::BundleError| {
            Failure::new(Reason::Invalid, shoal_model::Classify::chain(&error))
        };
        let spec = self.bundle.read_spec().map_err(read)?;
        let config = self.bundle.read_shim_config().map_err(read)?;
        let plan = Plan::new(&self.bundle, &spec, &config)?;
        if let Some(log) = &config.log {
            self.log = Some(
                Log::open(log)
                    .map_err(|error| failed(format!("log {}", log.path.display()))(error))?,
            );
        }
        let cgroup = plan.cgroup.as_ref().map(new_cgroup).transpose()?;
        // From here on the ending cleans up after whatever happens.
        let made = self.container.made.insert(Made {
            // Execs bring their own environment.
            process: ProcessPlan { env: Vec::new(), ..plan.process.clone() },
            cgroup,
            namespaces: joined_by_execs(&plan.namespaces),
            config,
        });
        let (io, stdio) = if plan.process.terminal {
            (None, None)
        } else {
            let (io, stdio) = ShimIo::pipes(made.config.open_stdin).map_err(failed("pipes"))?;
            (Some(io), Some(stdio))
        };
        let newborn = making::make_container(Recipe {
            bundle: &self.bundle,
            plan: &plan,
            cgroup: made.cgroup.as_ref(),
            stdio,
            netns: self.container.netns.take(),
            gate: None,
        })?;
        let pid = newborn.child.pid;
        self.container.io = match (io, newborn.terminal) {
            (Some(io), _) => io,
            (None, Some(master)) => {
                ShimIo::terminal(master, made.config.open_stdin).map_err(failed("terminal"))?
            }
            (None, None) => return Err(Failure::new(Reason::Failed, "no terminal came")),
        };
        self.container.phase = Phase::Created { init: newborn.child, socket: newborn.socket };
        Ok(pid)
    }

    /// Runs the program.
    pub(super) fn start(&mut self) -> Result<Timestamp, Failure> {
        let Phase::Created { socket, .. } = &self.container.phase else {
            return Err(conflict("the container is not in the state created"));
        };
        // Before it runs, so that nothing it does can be earlier.
        let started_at = now();
        if let Err(failure) = socket.run() {
            if let Some(init) = self.container.init() {
                making::abandon(init);
            }
            self.container.set_ending(Err(failure.clone()));
            return Err(failure);
        }
        if let Phase::Created { init, .. } =
            std::mem::replace(&mut self.container.phase, Phase::Idle)
        {
            self.container.phase = Phase::Running { init, started_at, paused: false };
        }
        Ok(started_at)
    }
}
