//! The events of stages that run at the same time, in the order of the file.
//!
//! The first unfinished stage is live: its events go out at once, and wait for
//! a slow reader. Those of later stages are kept until their turn; they never
//! wait, so that no stage can hold up one it depends on. What they keep is
//! bounded: output beyond the bound is left out, and a line says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::sync::{Mutex, mpsc};

use crate::{BuildError, Event, OutputStream};

/// Output kept for one stage that is not live.
const MAX_KEPT_BYTES: usize = 2 * 1024 * 1024;

/// Puts events in order.
#[derive(Debug)]
pub(super) struct Order {
    state: Mutex<State>,
    out: mpsc::Sender<Event>,
}

#[derive(Debug)]
struct State {
    /// What unfinished stages keep; the first one is live and keeps nothing.
    kept: BTreeMap<usize, Kept>,
    /// Stages that are done and wait for their turn.
    finished: BTreeSet<usize>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Event>,
    bytes: usize,
    clipped: bool,
}

impl Order {
    /// For the stages that will run.
    pub(super) fn new(stages: &BTreeSet<usize>, out: mpsc::Sender<Event>) -> Self {
        let kept = stages.iter().map(|stage| (*stage, Kept::default())).collect();
        Self { state: Mutex::new(State { kept, finished: BTreeSet::new() }), out }
    }

    /// An event of a stage.
    pub(super) async fn send(&self, stage: usize, event: Event) -> Result<(), BuildError> {
        let mut state = self.state.lock().await;
        let live = state.kept.keys().next().copied();
        if live == Some(stage) {
            return self.out.send(event).await.map_err(|_| BuildError::Cancelled);
        }
        if self.out.is_closed() {
            return Err(BuildError::Cancelled);
        }
        if let Some(kept) = state.kept.get_mut(&stage) {
            kept.push(event);
        }
        Ok(())
    }

    /// A stage is done; the next one is live, after what it has kept.
    pub(super) async fn finish(&self, stage: usize) -> Result<(), BuildError> {
        let mut state = self.state.lock().await;
        state.finished.insert(stage);
        self.advance(&mut state).await
    }

    /// A stage has failed: what it has kept goes out now, for it says why.
    pub(super) async fn fail(&self, stage: usize) -> Result<(), BuildError> {
        let mut state = self.state.lock().await;
        if let Some(kept) = state.kept.remove(&stage) {
            self.flush(kept).await?;
        }
        self.advance(&mut state).await
    }

    async fn advance(&self, state: &mut State) -> Result<(), BuildError> {
        while let Some(mut first) = state.kept.first_entry() {
            self.flush(std::mem::take(first.get_mut())).await?;
            let stage = *first.key();
            if !state.finished.contains(&stage) {
                return Ok(());
            }
            state.kept.remove(&stage);
        }
        Ok(())
    }

    async fn flush(&self, kept: Kept) -> Result<(), BuildError> {
        for event in kept.events {
            self.out.send(event).await.map_err(|_| BuildError::Cancelled)?;
        }
        Ok(())
    }
}

impl Kept {
    fn push(&mut self, event: Event) {
        if let Event::Output { text, .. } = &event {
            if self.clipped {
                return;
            }
            self.bytes += text.len();
            if self.bytes > MAX_KEPT_BYTES {
                self.clipped = true;
                let text =
                    format!("\n[output clipped, log limit {MAX_KEPT_BYTES} bytes reached]\n");
                self.events.push_back(Event::Output { stream: OutputStream::Stderr, text });
                return;
            }
        }
        // Progress of pulls is for those who watch it live.
        if !matches!(event, Event::Pull(_)) {
            self.events.push_back(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &str) -> Event {
        Event::Output { stream: OutputStream::Stdout, text: text.to_owned() }
    }

    async fn drain(mut events: mpsc::Receiver<Event>) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(event) = events.recv().await {
            if let Event::Output { text, .. } = event {
                texts.push(text);
            }
        }
        texts
    }

    #[tokio::test]
    async fn stages_follow_each_other() {
        let (out, events) = mpsc::channel(100);
        let order = Order::new(&BTreeSet::from([0, 2, 5]), out);
        order.send(5, output("5a")).await.unwrap();
        order.send(2, output("2a")).await.unwrap();
        order.send(0, output("0a")).await.unwrap();
        order.finish(2).await.unwrap();
        order.send(0, output("0b")).await.unwrap();
        order.finish(0).await.unwrap();
        order.send(5, output("5b")).await.unwrap();
        order.finish(5).await.unwrap();
        drop(order);
        assert_eq!(drain(events).await, ["0a", "0b", "2a", "5a", "5b"]);
    }

    #[tokio::test]
    async fn a_failed_stage_is_heard() {
        let (out, events) = mpsc::channel(100);
        let order = Order::new(&BTreeSet::from([0, 1]), out);
        order.send(1, output("why")).await.unwrap();
        order.fail(1).await.unwrap();
        drop(order);
        assert_eq!(drain(events).await, ["why"]);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_never_waits() {
        let (out, events) = mpsc::channel(100);
        let order = Order::new(&BTreeSet::from([0, 1]), out);
        let big = "x".repeat(MAX_KEPT_BYTES / 3);
        for _ in 0..10_000 {
            order.send(1, output(&big)).await.unwrap();
        }
        order.finish(0).await.unwrap();
        order.finish(1).await.unwrap();
        drop(order);
        let texts = drain(events).await;
        assert_eq!(texts.len(), 4);
        assert!(texts[3].contains("output clipped"));
    }

    #[tokio::test]
    async fn nobody_listening_cancels() {
        let (out, events) = mpsc::channel(1);
        let order = Order::new(&BTreeSet::from([0, 1]), out);
        drop(events);
        for stage in [0, 1] {
            let result = order.send(stage, output("x")).await;
            assert!(matches!(result, Err(BuildError::Cancelled)));
        }
    }
}
