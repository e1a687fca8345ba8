//! Puts the rules into the kernel through the `nft` program.
//!
//! One task owns the wanted state. Requests that wait while `nft` runs go
//! together in the next run, so a hundred containers starting at once cost a
//! few processes. Ports are changed as elements; when that fails (someone
//! flushed our table), the whole table is put back.

use std::{collections::BTreeSet, path::PathBuf, process::Stdio, time::Duration};

use shoal_model::Classify as _;
use tokio::{
    io::AsyncWriteExt,
    process::Command,
    sync::{mpsc, oneshot},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::flows;
use super::rules::{BridgeRules, PortRule, Rules, port_changes};
use crate::{NetworkError, Result};

/// Requests that may wait; beyond that, callers wait to be let in.
const QUEUE_LENGTH: usize = 256;
/// Requests taken into one run.
const BATCH_LENGTH: usize = 256;
/// A transaction of this size takes well under a second; a program that takes
/// this long hangs.
const NFT_LIMIT: Duration = Duration::from_secs(30);
/// What is kept of the program's complaint.
const COMPLAINT_MAX_BYTES: usize = 1024;

/// The way to the task that owns the rules.
#[derive(Clone, Debug)]
pub(crate) struct Firewall {
    jobs: mpsc::Sender<Job>,
    stop: CancellationToken,
}

/// What is to change.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// These are the bridges now.
    Bridges(Vec<BridgeRules>),
    /// Open these ports and close those. One in both lists is open.
    Ports { open: Vec<PortRule>, close: Vec<PortRule> },
    /// These ports were opened by an earlier daemon: nothing to do until
    /// something else changes.
    Adopted(Vec<PortRule>),
}

#[derive(Debug)]
struct Job {
    wanted: Wanted,
    /// It stays wanted when the kernel refuses.
    settled: bool,
    done: oneshot::Sender<Result<()>>,
}

impl Firewall {
    /// Starts the task. The first change puts `rules` in place, whatever was
    /// there before.
    pub(crate) fn start(nft: PathBuf, rules: Rules, tasks: &TaskTracker) -> Self {
        let owner = RulesOwner { nft, rules, whole: true, left_open: Vec::new() };
        let (jobs, queue) = mpsc::channel(QUEUE_LENGTH);
        let stop = CancellationToken::new();
        tasks.spawn(owner.run(queue, stop.clone()));
        Self { jobs, stop }
    }

    /// Ends the task; the rules stay.
    pub(crate) fn close(&self) {
        self.stop.cancel();
    }

    /// Makes a change and waits until the kernel has it. What the kernel
    /// refuses is not wanted any more.
    pub(crate) async fn change(&self, wanted: Wanted) -> Result<()> {
        self.ask(wanted, false).await
    }

    /// Makes the rules follow what has happened already and cannot be taken
    /// back (a container that is gone, say). What the kernel refuses stays
    /// wanted, and comes with the next change that succeeds.
    pub(crate) async fn follow(&self, wanted: Wanted) -> Result<()> {
        self.ask(wanted, true).await
    }

    async fn ask(&self, wanted: Wanted, settled: bool) -> Result<()> {
        let closed = || NetworkError::Firewall {
            doing: "changing rules".into(),
            stderr: "networks are closed".into(),
        };
        let (done, answer) = oneshot::channel();
        self.jobs.send(Job { wanted, settled, done }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

struct RulesOwner {
    nft: PathBuf,
    /// What the table should say; what it says, unless `whole`.
    rules: Rules,
    /// Only putting the whole table makes the kernel agree.
    whole: bool,
    /// Ports that were to be closed in runs that failed.
    left_open: Vec<PortRule>,
}

impl RulesOwner {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>, stop: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            let some = stop.run_until_cancelled(queue.recv_many(&mut batch, BATCH_LENGTH));
            match some.await {
                None | Some(0) => return,
                Some(_) => self.serve(std::mem::take(&mut batch)).await,
            }
        }
    }

    /// One run for all; if that fails, one for each, so that only the guilty
    /// ones hear of it.
    async fn serve(&mut self, batch: Vec<Job>) {
        if let [_, _, ..] = batch[..] {
            let before = self.rules.clone();
            let wanted: Vec<_> = batch.iter().map(|job| &job.wanted).collect();
            if self.change(&wanted).await.is_ok() {
                for job in batch {
                    // A caller that is gone has no use for the answer.
                    let _ = job.done.send(Ok(()));
                }
                return;
            }
            self.rules = before;
        }
        for Job { wanted, settled, done } in batch {
            let before = self.rules.clone();
            let result = self.change(&[&wanted]).await;
            if result.is_err() && !settled {
                self.rules = before;
            }
            let _ = done.send(result);
        }
    }

    async fn change(&mut self, wanted: &[&Wanted]) -> Result<()> {
        let before = self.rules.ports.clone();
        let mut silent = true;
        for wanted in wanted {
            silent &= matches!(wanted, Wanted::Adopted(_));
            match wanted {
                Wanted::Bridges(bridges) => {
                    self.whole |= self.rules.bridges != *bridges;
                    self.rules.bridges.clone_from(bridges);
                }
                Wanted::Ports { open, close } => {
                    for port in close {
                        self.rules.ports.remove(port);
                    }
                    self.rules.ports.extend(open);
                }
                Wanted::Adopted(ports) => {
                    self.whole = true;
                    self.rules.ports.extend(ports);
                }
            }
        }
        if silent {
            return Ok(());
        }
        let difference = |a: &BTreeSet<PortRule>, b: &BTreeSet<PortRule>| -> Vec<PortRule> {
            a.difference(b).copied().collect()
        };
        let open = difference(&self.rules.ports, &before);
        let close = difference(&before, &self.rules.ports);
        if let Err(error) = self.commit(&open, &close).await {
            self.left_open.extend(close);
            return Err(error);
        }
        forget_flows([open, close, std::mem::take(&mut self.left_open)].concat()).await;
        Ok(())
    }

    async fn commit(&mut self, open: &[PortRule], close: &[PortRule]) -> Result<()> {
        if !self.whole {
            if open.is_empty() && close.is_empty() {
                return Ok(());
            }
            match self.nft("changing published ports", port_changes(open, close)).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::info!(error = %error.chain(), "published ports not as expected, replacing the table");
                }
            }
        }
        // Until this succeeds, nobody knows what is there.
        self.whole = true;
        self.nft("replacing the table ip shoal", self.rules.table()).await?;
        self.whole = false;
        Ok(())
    }

    async fn nft(&self, doing: &str, script: String) -> Result<()> {
        let failed = |error: std::io::Error| {
            NetworkError::system(format!("run {} for {doing}", self.nft.display()), error)
        };
        let run = async {
            let mut child = Command::new(&self.nft)
                .args(["-f", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                // A program that leaves early says why on stderr.
                let _ = stdin.write_all(script.as_bytes()).await;
            }
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(NFT_LIMIT, run)
            .await
            .map_err(|_| failed(std::io::ErrorKind::TimedOut.into()))?
            .map_err(failed)?;
        if output.status.success() {
            return Ok(());
        }
        let complaint = &output.stderr[..output.stderr.len().min(COMPLAINT_MAX_BYTES)];
        Err(NetworkError::Firewall {
            doing: doing.into(),
            stderr: String::from_utf8_lossy(complaint).trim().into(),
        })
    }
}

/// A flow that goes on is no reason to take a port back.
async fn forget_flows(ports: Vec<PortRule>) {
    if !flows::concerns(&ports) {
        return;
    }
    let forgotten = tokio::task::spawn_blocking(move || flows::forget(&ports)).await;
    if let Err(error) = forgotten.unwrap_or_else(|e| Err(e.into())) {
        tracing::warn!(%error, "earlier flows of published UDP ports go on");
    }
}
