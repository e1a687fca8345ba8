//! A worker's life: what it was told to run, the steps of each task, the talk with a manager.
//!
//! ```text
//! session ── assignments ──▶ worker ── one runner per task ──▶ Executor
//!    ▲                         │  journal (survives a restart)
//!    └────── reporter ◀────────┘
//! ```
//!
//! Tasks never depend on a session: while no manager can be reached, they run on, and their
//! news waits. Must not know: containers, the manager's state.

mod holding;
mod journal;
mod managers;
mod publisher;
mod renewal;
mod reporter;
mod runner;
mod session;
mod unreachable;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use shoal_cluster::agent::Executor;
use shoal_model::Classify as _;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Timers;
use crate::tls::Credentials;

pub(crate) use managers::Managers;
pub(crate) use renewal::{
    Enrolment, IdentityFiles, enrol, fetch_root, load_identity, save_identity,
};

/// How the talk with the managers goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Contact {
    /// No session yet.
    #[default]
    Connecting,
    /// A session is open.
    Connected,
    /// The last session has ended, or none could be opened.
    Lost {
        /// Why.
        why: String,
        /// Whether there ever was one since the process began.
        reached_before: bool,
    },
}

/// What an agent needs.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) managers: Arc<Managers>,
    pub(crate) clock: Clock,
    pub(crate) timers: Timers,
    pub(crate) parallelism: usize,
    /// Where the journal is kept.
    pub(crate) dir: PathBuf,
    /// The node's directory, with its certificates.
    pub(crate) root: PathBuf,
    pub(crate) contact: watch::Sender<Contact>,
    /// A manager asked for a new certificate.
    pub(crate) renew: Arc<Notify>,
    pub(crate) stop: CancellationToken,
}

/// Runs until the agent is stopped. Containers stay as they are.
pub(crate) async fn run<E: Executor>(agent: Agent, executor: Arc<E>) {
    let worker = match worker::Worker::open(&agent, executor).await {
        Ok(worker) => worker,
        Err(error) => {
            tracing::error!(error = %error.chain(), "the agent cannot read its journal");
            let why = error.to_string();
            agent.contact.send_replace(Contact::Lost { why, reached_before: false });
            return;
        }
    };
    tokio::join!(
        session::keep_open(&agent, &worker),
        renewal::keep_fresh(&agent),
        worker.keep_journal(),
    );
    worker.stop().await;
}
