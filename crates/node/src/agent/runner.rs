//! One task's steps, one after the other.
//!
//! The core says what comes next and what a result means; this loop only does it. It ends when
//! the task was removed, or with the agent; then the container stays as it is.

use std::time::Duration;

use shoal_cluster::agent::{
    Action, Done, Executor, ExecutorError, Observation, Work, finish, next,
};
use shoal_model::TaskId;
use shoal_model::swarm::TaskState;
use tokio::sync::{Semaphore, watch};

use super::holding::{Holding, Wanted, uses_files};

/// First pause after an engine said "not now"; doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The agent ends; the container stays as it is.
pub(super) struct Ending;

/// Steps until the task is to be gone, then removes it.
///
/// # Errors
/// The agent ended before.
pub(super) async fn run<E: Executor>(
    holding: &Holding<E>,
    id: &TaskId,
    mut wanted: watch::Receiver<Wanted>,
) -> Result<(), Ending> {
    let mut pause = RETRY_MIN;
    loop {
        if holding.end.is_cancelled() {
            return Err(Ending);
        }
        let goal = wanted.borrow_and_update().clone();
        let work = match goal {
            Wanted::Run(work) => work,
            Wanted::Gone => return Box::pin(end_quietly(holding, id)).await,
        };
        let status = holding.status(id).ok_or(Ending)?;
        let done = match next(&work.task, &status, holding.clock.now()) {
            Action::Idle => {
                changed(holding, &mut wanted).await?;
                continue;
            }
            Action::Report(status) => {
                holding.set_status(id, status);
                continue;
            }
            // Every step but the long one has its future on the heap: a task waits for its end
            // most of its life, and the room for a pull would wait with it.
            Action::Prepare => Box::pin(prepare(holding, &work, &mut wanted)).await?,
            Action::Start => Box::pin(start(holding, &work, &mut wanted)).await?,
            Action::Wait => wait(holding, &work, &mut wanted).await?,
            Action::Shutdown => Some(Done::ShutDown(Box::pin(shut_down(holding, &work)).await?)),
        };
        // Called off: the core is asked again.
        let Some(done) = done else { continue };
        match finish(&status, done, holding.clock.now()) {
            Some(status) => {
                pause = RETRY_MIN;
                holding.set_status(id, status);
            }
            None => pause = rest(holding, pause).await?,
        }
    }
}

/// Ends a task that is no longer assigned, and removes what is left of it.
async fn end_quietly<E: Executor>(holding: &Holding<E>, id: &TaskId) -> Result<(), Ending> {
    let ended = holding.status(id).is_none_or(|status| status.state.is_terminal());
    let work = holding.last_work(id);
    if let (false, Some(work)) = (ended, work) {
        let mut pause = RETRY_MIN;
        while let Err(error) = shut_down(holding, &work).await? {
            tracing::debug!(task = %id, %error, "stopping a task is tried again");
            pause = rest(holding, pause).await?;
        }
    }
    remove(holding, id).await
}

/// Removes the container of a task nobody knows.
pub(super) async fn sweep<E: Executor>(holding: &Holding<E>, id: &TaskId) {
    // If the agent ends first, the next one finds it again.
    let _ = remove(holding, id).await;
}

/// Removes a task's container, however often it takes: one that is forgotten may run on.
async fn remove<E: Executor>(holding: &Holding<E>, id: &TaskId) -> Result<(), Ending> {
    let mut pause = RETRY_MIN;
    while let Err(error) = remove_once(holding, id).await? {
        if pause == RETRY_MIN && matches!(error, ExecutorError::Fatal(_)) {
            tracing::info!(task = %id, %error, "a task's container cannot be removed yet");
        } else {
            tracing::debug!(task = %id, %error, "removing a task is tried again");
        }
        pause = rest(holding, pause).await?;
    }
    Ok(())
}

async fn remove_once<E: Executor>(
    holding: &Holding<E>,
    id: &TaskId,
) -> Result<Result<(), ExecutorError>, Ending> {
    let _place = place(holding, &holding.starts).await?;
    Ok(holding.executor.remove(id).await)
}

/// Waits until something else is wanted.
async fn changed<E>(
    holding: &Holding<E>,
    wanted: &mut watch::Receiver<Wanted>,
) -> Result<(), Ending> {
    tokio::select! {
        () = holding.end.cancelled() => Err(Ending),
        changed = wanted.changed() => changed.map_err(|_| Ending),
    }
}

/// Rests before another try; returns how long to rest next time.
async fn rest<E>(holding: &Holding<E>, pause: Duration) -> Result<Duration, Ending> {
    tokio::select! {
        () = holding.end.cancelled() => Err(Ending),
        () = tokio::time::sleep(pause) => Ok((pause * 2).min(RETRY_MAX)),
    }
}

/// A place among those who may do this now.
async fn place<'a, E>(
    holding: &Holding<E>,
    places: &'a Semaphore,
) -> Result<tokio::sync::SemaphorePermit<'a>, Ending> {
    tokio::select! {
        biased;
        () = holding.end.cancelled() => Err(Ending),
        place = places.acquire() => place.map_err(|_| Ending),
    }
}

/// Makes the container; `None` if the task was called off meanwhile.
async fn prepare<E: Executor>(
    holding: &Holding<E>,
    work: &Work,
    wanted: &mut watch::Receiver<Wanted>,
) -> Result<Option<Done>, Ending> {
    if let Some(missing) = missing_file(work) {
        if holding.in_sync() {
            return Ok(Some(Done::Prepared(Err(ExecutorError::Fatal(missing)))));
        }
        // It comes with the first message of the new session.
        changed(holding, wanted).await?;
        return Ok(None);
    }
    let making = async {
        // Without a place: those who wait for a slow registry hold nobody up.
        holding.executor.fetch(work).await;
        let _place = place(holding, &holding.makes).await?;
        Ok(holding.executor.prepare(work).await)
    };
    match until_called_off(holding, making, wanted).await? {
        Some(made) => made.map(|made| Some(Done::Prepared(made))),
        None => Ok(None),
    }
}

/// Starts the container and waits until it may be counted on; `None` if the task was called off
/// meanwhile. Others start while it gets ready: a health check may take minutes.
async fn start<E: Executor>(
    holding: &Holding<E>,
    work: &Work,
    wanted: &mut watch::Receiver<Wanted>,
) -> Result<Option<Done>, Ending> {
    let queueing = place(holding, &holding.starts);
    let Some(place) = until_called_off(holding, queueing, wanted).await? else { return Ok(None) };
    let place = place?;
    // To its end: half a start is nobody's to tidy up.
    let started = holding.executor.start(work).await;
    drop(place);
    let id = &work.task.id;
    let getting_ready = async {
        started?;
        holding.executor.ready(id).await?;
        holding.executor.observe(id).await
    };
    Ok(until_called_off(holding, getting_ready, wanted).await?.map(Done::Started))
}

/// Waits for the end; `None` if the task is to be ended before.
async fn wait<E: Executor>(
    holding: &Holding<E>,
    work: &Work,
    wanted: &mut watch::Receiver<Wanted>,
) -> Result<Option<Done>, Ending> {
    let id = &work.task.id;
    let waiting = async {
        let exit = holding.executor.wait(id).await?;
        Ok((exit, holding.executor.observe(id).await?))
    };
    Ok(until_called_off(holding, waiting, wanted).await?.map(Done::Exited))
}

async fn shut_down<E: Executor>(
    holding: &Holding<E>,
    work: &Work,
) -> Result<Result<Option<Observation>, ExecutorError>, Ending> {
    let _place = place(holding, &holding.stops).await?;
    Ok(match holding.executor.shutdown(work).await {
        Ok(()) => holding.executor.observe(&work.task.id).await,
        Err(error) => Err(error),
    })
}

/// Runs a step that may be dropped; `None` if the task shall not run any more.
async fn until_called_off<E, T>(
    holding: &Holding<E>,
    step: impl Future<Output = T>,
    wanted: &mut watch::Receiver<Wanted>,
) -> Result<Option<T>, Ending> {
    tokio::pin!(step);
    loop {
        tokio::select! {
            // First: no step is taken that is called off already.
            biased;
            changed = changed(holding, wanted) => {
                changed?;
                let over = called_off(&wanted.borrow_and_update());
                if over {
                    // The loop of steps has to see it, too.
                    wanted.mark_changed();
                    return Ok(None);
                }
            }
            done = &mut step => return Ok(Some(done)),
        }
    }
}

fn called_off(wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Gone => true,
        Wanted::Run(work) => work.task.desired_state >= TaskState::Shutdown,
    }
}

/// A secret or config the task names and nobody sent.
fn missing_file(work: &Work) -> Option<String> {
    if !uses_files(&work.task) {
        return None;
    }
    let container = &work.task.spec.container;
    let secret = container
        .secrets
        .iter()
        .find(|used| !work.secrets.iter().any(|secret| secret.id == used.secret_id))
        .map(|used| format!("secret reference {} not found", used.secret_id));
    let config = container
        .configs
        .iter()
        .find(|used| !work.configs.iter().any(|config| config.id == used.config_id))
        .map(|used| format!("config reference {} not found", used.config_id));
    secret.or(config)
}
