//! What has happened: a bounded history and everyone who listens.
//!
//! Types, actions and attributes are Docker's. Publishing never blocks and
//! never fails; a listener that is too slow loses the oldest events.

mod filter;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use shoal_model::Timestamp;
use tokio::sync::broadcast;

pub use filter::EventFilter;

/// Events kept for `since`; Docker keeps as many.
const HISTORY_LENGTH: usize = 256;
/// Events a slow listener may lag behind: two bursts of 500 containers starting.
const LISTENER_LAG: usize = 1024;

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// To what sort of object.
    pub object: ObjectType,
    /// What (`create`, `start`, `die`, `exec_create: sh`, …).
    pub action: String,
    /// Id of the object; a volume's name.
    pub id: String,
    /// Further facts: `name`, `image`, `exitCode`, labels, ….
    pub attributes: BTreeMap<String, String>,
}

/// Sort of object an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectType {
    /// A build or its cache.
    Builder,
    /// A swarm config.
    Config,
    /// A container.
    Container,
    /// The daemon.
    Daemon,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A swarm node.
    Node,
    /// A plugin.
    Plugin,
    /// A swarm secret.
    Secret,
    /// A swarm service.
    Service,
    /// A volume.
    Volume,
}

impl ObjectType {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            ObjectType::Builder => "builder",
            ObjectType::Config => "config",
            ObjectType::Container => "container",
            ObjectType::Daemon => "daemon",
            ObjectType::Image => "image",
            ObjectType::Network => "network",
            ObjectType::Node => "node",
            ObjectType::Plugin => "plugin",
            ObjectType::Secret => "secret",
            ObjectType::Service => "service",
            ObjectType::Volume => "volume",
        }
    }
}

/// The event log of a node. Cheap to clone; all clones are one log.
#[derive(Debug, Clone)]
pub struct Events {
    log: Arc<Log>,
}

#[derive(Debug)]
struct Log {
    history: Mutex<VecDeque<Arc<Event>>>,
    listeners: broadcast::Sender<Arc<Event>>,
}

impl Default for Events {
    fn default() -> Self {
        let (listeners, _) = broadcast::channel(LISTENER_LAG);
        Events { log: Arc::new(Log { history: Mutex::default(), listeners }) }
    }
}

impl Events {
    /// Tells everyone. Never blocks.
    pub fn publish(&self, event: Event) {
        let event = Arc::new(event);
        // The history stays locked while sending: a subscriber sees each event once.
        let mut history = self.log.history.lock().unwrap_or_else(PoisonError::into_inner);
        if history.len() == HISTORY_LENGTH {
            history.pop_front();
        }
        history.push_back(event.clone());
        // An error only says that nobody listens.
        let _ = self.log.listeners.send(event);
    }

    /// Everything from now on, preceded by the known events of `since` and later.
    pub fn subscribe(&self, since: Option<Timestamp>) -> EventListener {
        let history = self.log.history.lock().unwrap_or_else(PoisonError::into_inner);
        let past = match since {
            None => VecDeque::new(),
            Some(since) => history.iter().filter(|event| event.time >= since).cloned().collect(),
        };
        EventListener { past, live: self.log.listeners.subscribe() }
    }
}

/// One listener's place in the event log.
#[derive(Debug)]
pub struct EventListener {
    past: VecDeque<Arc<Event>>,
    live: broadcast::Receiver<Arc<Event>>,
}

impl EventListener {
    /// The next event; waits for it. `None` when the engine has gone.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        if let Some(event) = self.past.pop_front() {
            return Some(event);
        }
        loop {
            match self.live.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    tracing::info!(lost, "an event listener was too slow");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next event that is already known; never waits.
    pub fn try_next(&mut self) -> Option<Arc<Event>> {
        if let Some(event) = self.past.pop_front() {
            return Some(event);
        }
        loop {
            match self.live.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(second: i64) -> Event {
        Event {
            time: Timestamp::from_seconds(second),
            object: ObjectType::Container,
            action: "start".into(),
            id: second.to_string(),
            attributes: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn a_listener_gets_the_past_once_and_then_the_present() {
        let events = Events::default();
        for second in 0..3 {
            events.publish(event(second));
        }
        let mut listener = events.subscribe(Some(Timestamp::from_seconds(1)));
        events.publish(event(3));
        for id in ["1", "2", "3"] {
            assert_eq!(listener.next().await.unwrap().id, id);
        }
        assert!(listener.try_next().is_none());
    }

    #[test]
    fn the_history_is_bounded() {
        let events = Events::default();
        for second in 0..2 * HISTORY_LENGTH as i64 {
            events.publish(event(second));
        }
        let mut listener = events.subscribe(Some(Timestamp::EPOCH));
        assert_eq!(listener.try_next().unwrap().id, HISTORY_LENGTH.to_string());
    }
}
