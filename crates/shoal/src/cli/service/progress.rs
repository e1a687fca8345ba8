//! Waiting until a service has converged.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::super::shell::Shell;
use crate::client::{Filters, Query};
use crate::print;
use crate::print::words::{items, text};

/// How often the daemon is asked.
const LOOK: Duration = Duration::from_millis(200);
/// How long all tasks must have been running: a program that ends at once has
/// not converged. Docker waits 5 s.
const STABLE: Duration = Duration::from_secs(2);

/// Shows how far a service has come, until it is where it should be.
///
/// # Errors
/// When its update was paused or rolled back, or the daemon refuses.
pub(super) async fn converge(shell: &Shell, id: &str, quiet: bool) -> Result<()> {
    let bar = (!quiet && stderr().is_terminal()).then(bar);
    let mut stable_since = None;
    loop {
        let now = look(shell, id).await?;
        if let Some(bar) = &bar {
            bar.set_length(now.desired);
            bar.set_position(now.running.min(now.desired));
            bar.set_message(now.message.clone());
        }
        if now.paused {
            bail!("service update paused: {}", now.message);
        }
        if now.converged() {
            let since = *stable_since.get_or_insert_with(tokio::time::Instant::now);
            if now.desired == 0 || since.elapsed() >= STABLE {
                if let Some(bar) = bar {
                    bar.finish_and_clear();
                }
                if now.rolled_back {
                    bail!("service rolled back: {}", now.message);
                }
                if !quiet {
                    print::line(format_args!("verify: Service {id} converged"))?;
                }
                return Ok(());
            }
        } else {
            stable_since = None;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("overall progress: {pos} out of {len} tasks [{bar:30}] {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[derive(Debug, Default)]
struct Look {
    desired: u64,
    running: u64,
    leaving: usize,
    updating: bool,
    paused: bool,
    rolled_back: bool,
    message: String,
}

impl Look {
    fn converged(&self) -> bool {
        self.running == self.desired && self.leaving == 0 && !self.updating
    }
}

async fn look(shell: &Shell, id: &str) -> Result<Look> {
    let query = Query::new().with("status", 1).with_filters(&Filters::default().with("id", id));
    let services = shell.client.get("/services", &query).await?;
    let Some(service) = services.as_array().and_then(|list| list.first()) else {
        bail!("service {id} was removed");
    };
    let status = &service["ServiceStatus"];
    let update = text(&service["UpdateStatus"], "State");
    let number = |key: &str| status[key].as_u64().unwrap_or_default();
    let (desired, running) = (number("DesiredTasks"), number("RunningTasks"));
    let mut look = Look {
        desired,
        running,
        updating: matches!(update, "updating" | "rollback_started"),
        paused: matches!(update, "paused" | "rollback_paused"),
        rolled_back: update == "rollback_completed",
        message: text(&service["UpdateStatus"], "Message").to_owned(),
        ..Look::default()
    };
    // Only then is it worth a look at the tasks that still leave.
    if look.converged() || look.running < look.desired {
        let filters = Filters::default().with("service", id);
        let tasks = shell.client.get("/tasks", &Query::new().with_filters(&filters)).await?;
        look.read_tasks(&tasks);
    }
    Ok(look)
}

impl Look {
    fn read_tasks(&mut self, tasks: &Value) {
        for task in items(tasks) {
            let (desired, state) = (text(task, "DesiredState"), text(&task["Status"], "State"));
            let over = matches!(
                state,
                "complete" | "shutdown" | "failed" | "rejected" | "orphaned" | "remove"
            );
            if matches!(desired, "shutdown" | "remove") && !over {
                self.leaving += 1;
            }
            let error = text(&task["Status"], "Err");
            if !error.is_empty() && self.running < self.desired && self.message.is_empty() {
                self.message = error.to_owned();
            }
        }
    }
}
