//! Long operations on images: their events as Docker's JSON lines.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::Response;
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use shoal_image::{LayerState, Progress, ProgressSink};
use shoal_model::units::human_size;
use tokio::sync::Notify;

use super::body;
use super::error::{ApiError, Result};

/// Events on their way to a client. Never blocks the sender and stays small
/// for a slow reader: a layer's newer count replaces the older one.
#[derive(Clone, Default)]
pub(crate) struct Queue(Arc<Inner>);

#[derive(Default)]
struct Inner {
    events: Mutex<VecDeque<Progress>>,
    more: Notify,
}

impl Queue {
    /// The end that the image store writes to.
    pub(crate) fn sink(&self) -> ProgressSink {
        let queue = self.clone();
        Arc::new(move |event| queue.push(event))
    }

    fn push(&self, event: Progress) {
        let mut events = self.0.events.lock().unwrap_or_else(PoisonError::into_inner);
        match events.iter_mut().rev().find(|held| replaces(&event, held)) {
            Some(held) => *held = event,
            None => events.push_back(event),
        }
        drop(events);
        self.0.more.notify_one();
    }

    fn take(&self) -> Option<Progress> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// What is waiting, as lines.
    fn drain(&self) -> Vec<Value> {
        std::iter::from_fn(|| self.take()).map(|event| render(&event)).collect()
    }

    async fn next(&self) -> Progress {
        loop {
            let more = self.0.more.notified();
            if let Some(event) = self.take() {
                return event;
            }
            more.await;
        }
    }
}

/// Whether `new` says all that `old` said, and newer.
fn replaces(new: &Progress, old: &Progress) -> bool {
    match (new, old) {
        (
            Progress::Layer { id, state, .. },
            Progress::Layer { id: old_id, state: old_state, .. },
        ) => id == old_id && state == old_state,
        _ => false,
    }
}

type Work = Pin<Box<dyn Future<Output = Result<Vec<Value>>> + Send>>;

/// Answers with the events of `work` and then what it returns. An error before
/// the first event is an ordinary one, with its status; later it can only be
/// the last line. A client that leaves cancels the work.
///
/// # Errors
/// The work's own, while nothing was sent yet.
pub(crate) async fn respond(
    queue: Queue,
    work: impl Future<Output = Result<Vec<Value>>> + Send + 'static,
) -> Result<Response> {
    let mut work: Work = Box::pin(work);
    let (first, work) = tokio::select! {
        biased;
        event = queue.next() => (vec![render(&event)], Some(work)),
        done = &mut work => {
            let mut lines = queue.drain();
            match done {
                Ok(last) => lines.extend(last),
                Err(error) if lines.is_empty() => return Err(error),
                Err(error) => lines.push(render_error(&error)),
            }
            (lines, None)
        }
    };
    Ok(body::lines(stream::iter(first).chain(rest(queue, work))))
}

fn rest(queue: Queue, work: Option<Work>) -> impl Stream<Item = Value> + Send {
    let steps = stream::unfold((queue, work), |(queue, work)| async move {
        let mut work = work?;
        tokio::select! {
            biased;
            event = queue.next() => Some((vec![render(&event)], (queue, Some(work)))),
            done = &mut work => {
                let mut lines = queue.drain();
                lines.extend(done.unwrap_or_else(|error| vec![render_error(&error)]));
                Some((lines, (queue, None)))
            }
        }
    });
    steps.flat_map(stream::iter)
}

/// The line that reports an error within a stream.
pub(crate) fn render_error(error: &ApiError) -> Value {
    json!({ "errorDetail": { "message": error.message() }, "error": error.message() })
}

/// One event as Docker writes it.
pub(crate) fn render(event: &Progress) -> Value {
    match event {
        Progress::PullingFrom { path, tag } => {
            json!({ "status": format!("Pulling from {path}"), "id": tag })
        }
        Progress::PushRefersTo(name) => {
            json!({ "status": format!("The push refers to repository [{name}]") })
        }
        Progress::Layer { id, state, current, total } => render_layer(id, state, *current, *total),
        Progress::Digest(digest) => json!({ "status": format!("Digest: {digest}") }),
        Progress::Status(status) => json!({ "status": status }),
        Progress::TagPushed { tag, digest, size } => {
            json!({ "status": format!("{tag}: digest: {digest} size: {size}") })
        }
        Progress::Loaded(text) => json!({ "stream": format!("{text}\n") }),
    }
}

fn render_layer(id: &str, state: &LayerState, current: u64, total: u64) -> Value {
    let status = state.to_string();
    if current == 0 && total == 0 {
        return json!({ "status": status, "progressDetail": {}, "id": id });
    }
    json!({
        "status": status,
        "progressDetail": { "current": current, "total": total },
        "progress": bar(current, total),
        "id": id,
    })
}

/// The bar older clients print as it comes.
fn bar(current: u64, total: u64) -> String {
    const WIDTH: u64 = 50; // Docker's
    if total == 0 {
        return human_size(current);
    }
    let done = (current.min(total) * WIDTH / total).min(WIDTH);
    let (done, left) =
        (usize::try_from(done).unwrap_or(0), usize::try_from(WIDTH - done).unwrap_or(0));
    let arrow = if left > 0 { ">" } else { "" };
    let left = left.saturating_sub(1);
    format!(
        "[{}{arrow}{}] {:>8}/{}",
        "=".repeat(done),
        " ".repeat(left),
        human_size(current),
        human_size(total)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(id: &str, state: LayerState, current: u64) -> Progress {
        Progress::Layer { id: id.into(), state, current, total: 100 }
    }

    #[test]
    fn a_slow_reader_sees_the_newest_count() {
        let queue = Queue::default();
        queue.push(layer("a", LayerState::Downloading, 1));
        queue.push(layer("b", LayerState::Downloading, 5));
        queue.push(layer("a", LayerState::Downloading, 9));
        queue.push(layer("a", LayerState::DownloadComplete, 0));
        let taken: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(
            taken,
            [
                layer("a", LayerState::Downloading, 9),
                layer("b", LayerState::Downloading, 5),
                layer("a", LayerState::DownloadComplete, 0),
            ]
        );
    }

    #[tokio::test]
    async fn an_early_error_has_its_status() {
        let error = respond(Queue::default(), async { Err(ApiError::invalid("no")) }).await;
        assert_eq!(error.expect_err("an error").message(), "no");
    }

    #[tokio::test]
    async fn a_late_error_is_the_last_line() {
        let queue = Queue::default();
        queue.push(Progress::Status("first".into()));
        let response =
            respond(queue, async { Err(ApiError::invalid("no")) }).await.expect("a stream");
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let last = text.lines().last().unwrap_or_default();
        assert!(text.contains("first") && last.contains("\"error\":\"no\""), "{text}");
    }

    #[test]
    fn the_bar_is_dockers() {
        assert_eq!(bar(100, 100).find('>'), None);
        assert!(bar(50, 100).starts_with("[=========================>"));
    }
}
