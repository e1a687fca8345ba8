//! Health checks: a probe every so often, and what the probes say.
//!
//! [`judge`] is the pure part. The task of a container's checks ends with its run.

use std::sync::Arc;
use std::time::Duration;

use shoal_model::{Classify as _, ExecId};

use super::Containers;
use super::container::Container;
use super::state::{Phase, RunState};
use crate::clock;
use crate::domain::{CreateExec, HealthProbe, HealthStatus, HealthView, Healthcheck, StartExec};
use crate::error::ExecError;
use crate::exec::Execs;

/// Docker's defaults.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_RETRIES: u32 = 3;
/// Probes that are remembered; Docker's.
const PROBES_KEPT: usize = 5;
/// Bytes of a probe's output that are remembered; Docker's.
const OUTPUT_KEPT_BYTES: usize = 4096;
/// Exit code of a probe that did not end in time or could not be run; Docker's.
const NO_ANSWER: i64 = -1;

/// Begins to check a container that has just been started, if it is to be checked.
pub(super) fn watch(containers: &Containers, container: &Arc<Container>) {
    let record = container.record();
    let (Some(check), Some(command)) = (&record.config.healthcheck, record.config.probe()) else {
        return;
    };
    container.state.send_modify(|state| {
        let view = HealthView { status: HealthStatus::Starting, ..HealthView::default() };
        state.health = Some(Box::new(view));
    });
    let probing = Probing {
        containers: containers.clone(),
        container: container.clone(),
        check: check.clone(),
        command,
    };
    containers.node.tasks.spawn(probing.run());
}

/// The checks of one run of one container.
struct Probing {
    containers: Containers,
    container: Arc<Container>,
    check: Healthcheck,
    command: Vec<String>,
}

impl Probing {
    async fn run(self) {
        let begin = tokio::time::Instant::now();
        let exits = self.container.state.borrow().exits;
        let mut changes = self.container.state.subscribe();
        loop {
            let ended = changes.wait_for(|state| state.exits > exits || state.removed);
            let starting = self.is_starting(begin.elapsed());
            tokio::select! {
                () = tokio::time::sleep(interval(&self.check, starting)) => {}
                _ = ended => return,
                () = self.containers.node.tasks.closing.cancelled() => return,
            }
            // A frozen container cannot answer.
            if self.container.state.borrow().phase != Phase::Running {
                continue;
            }
            let probe = tokio::select! {
                probe = self.probe() => probe,
                () = self.containers.node.tasks.closing.cancelled() => return,
            };
            self.take(probe, self.is_starting(begin.elapsed()), exits);
        }
    }

    /// Whether it is still in its start period and was never well.
    fn is_starting(&self, elapsed: Duration) -> bool {
        let state = self.container.state.borrow();
        let never_well =
            state.health.as_ref().is_none_or(|view| view.status == HealthStatus::Starting);
        never_well && elapsed < self.check.start_period
    }

    async fn probe(&self) -> HealthProbe {
        let start = clock::now();
        let limit = or_default(self.check.timeout, DEFAULT_TIMEOUT);
        let mut output = Vec::new();
        let execs = Execs::new(self.containers.clone());
        let exit_code = match self.make_exec(&execs) {
            Err(error) => {
                output = error.to_string().into_bytes();
                NO_ANSWER
            }
            Ok(id) => {
                let run = run_exec(&execs, &id, &mut output);
                match tokio::time::timeout(limit, run).await {
                    Ok(exit_code) => exit_code,
                    Err(_) => {
                        output = format!("Health check exceeded timeout ({limit:?})").into_bytes();
                        if let Err(error) = execs.kill(id.as_str()).await {
                            tracing::debug!(error = %error.chain(), "a late health check could not be killed");
                        }
                        NO_ANSWER
                    }
                }
            }
        };
        let output = String::from_utf8_lossy(&output).into_owned();
        HealthProbe { start, end: clock::now(), exit_code, output }
    }

    fn make_exec(&self, execs: &Execs) -> Result<ExecId, ExecError> {
        let request = CreateExec {
            cmd: self.command.clone(),
            attach_stdout: true,
            attach_stderr: true,
            ..CreateExec::default()
        };
        execs.create(self.container.id.as_str(), request)
    }

    fn take(&self, probe: HealthProbe, starting: bool, exits: u64) {
        let mut change = None;
        self.container.state.send_if_modified(|state: &mut RunState| {
            if state.exits != exits {
                return false;
            }
            let Some(view) = &mut state.health else { return false };
            let before = view.status;
            judge(view, probe, &self.check, starting);
            change = (view.status != before).then_some(view.status);
            true
        });
        if let Some(status) = change {
            let action = format!("health_status: {}", status.as_str());
            self.containers.publish(&self.container.record(), &action, &[]);
        }
    }
}

/// Runs a probe to its end: its exit code.
async fn run_exec(execs: &Execs, id: &ExecId, output: &mut Vec<u8>) -> i64 {
    match execs.start(id.as_str(), StartExec::default()).await {
        Ok(Some(mut attached)) => {
            while let Some(chunk) = attached.output.next().await {
                let room = OUTPUT_KEPT_BYTES.saturating_sub(output.len());
                output.extend_from_slice(&chunk.data[..chunk.data.len().min(room)]);
            }
        }
        Ok(None) => {}
        Err(error) => output.extend_from_slice(error.to_string().as_bytes()),
    }
    // The end is noted right after the last output.
    execs.wait(id.as_str()).await.unwrap_or(NO_ANSWER)
}

/// What is known after one more probe. `starting`: failures do not count yet.
fn judge(view: &mut HealthView, probe: HealthProbe, check: &Healthcheck, starting: bool) {
    let retries = if check.retries == 0 { DEFAULT_RETRIES } else { check.retries };
    if probe.exit_code == 0 {
        view.failing_streak = 0;
        view.status = HealthStatus::Healthy;
    } else if !starting {
        view.failing_streak += 1;
        if view.failing_streak >= retries {
            view.status = HealthStatus::Unhealthy;
        }
    }
    view.log.push(probe);
    if view.log.len() > PROBES_KEPT {
        view.log.remove(0);
    }
}

fn interval(check: &Healthcheck, starting: bool) -> Duration {
    match starting {
        true => or_default(check.start_interval, DEFAULT_START_INTERVAL),
        false => or_default(check.interval, DEFAULT_INTERVAL),
    }
}

fn or_default(given: Duration, default: Duration) -> Duration {
    if given.is_zero() { default } else { given }
}

#[cfg(test)]
mod tests {
    use shoal_model::Timestamp;

    use super::*;

    fn probe(exit_code: i64) -> HealthProbe {
        let time = Timestamp::EPOCH;
        HealthProbe { start: time, end: time, exit_code, output: String::new() }
    }

    #[test]
    fn failures_in_a_row_make_it_unhealthy_and_one_success_healthy() {
        let check = Healthcheck { retries: 2, ..Healthcheck::default() };
        let mut view = HealthView { status: HealthStatus::Starting, ..HealthView::default() };
        let mut after = |exit_code, starting| {
            judge(&mut view, probe(exit_code), &check, starting);
            (view.status, view.failing_streak)
        };
        assert_eq!(after(1, true), (HealthStatus::Starting, 0));
        assert_eq!(after(1, false), (HealthStatus::Starting, 1));
        assert_eq!(after(1, false), (HealthStatus::Unhealthy, 2));
        assert_eq!(after(0, false), (HealthStatus::Healthy, 0));
        assert_eq!(after(1, false), (HealthStatus::Healthy, 1));
        for _ in 0..9 {
            after(0, false);
        }
        assert_eq!(view.log.len(), PROBES_KEPT);
    }
}
