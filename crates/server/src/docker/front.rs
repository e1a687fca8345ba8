//! What the front door asks: the parts of the daemon, shared by all requests.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use shoal_engine::Engine;
use shoal_engine::events::{Event, ObjectType};
use shoal_image::Store;
use shoal_model::Timestamp;
use shoal_network::Networks;
use shoal_node::Node;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::builder::Builder;
use super::error::{ApiError, Result};

/// The parts of the daemon.
pub struct Front {
    /// Containers, execs, volumes, events.
    pub engine: Arc<Engine>,
    /// Images.
    pub images: Arc<Store>,
    /// Networks of this node.
    pub networks: Arc<Networks>,
    /// The swarm.
    pub node: Arc<Node>,
    /// Builds.
    pub builder: Arc<dyn Builder>,
    /// What `info` and `version` tell.
    pub about: About,
    /// Cancelled when the daemon stops: streams end.
    pub stop: CancellationToken,
    /// The sessions on taken-over connections.
    pub tasks: TaskTracker,
}

/// Facts about the daemon that no part of it knows.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The daemon's version.
    pub version: String,
    /// Its state directory.
    pub root: PathBuf,
    /// Registries spoken to without TLS.
    pub insecure_registries: Vec<String>,
    /// Labels of the daemon.
    pub labels: Vec<String>,
    /// Whether it logs at the level of debugging.
    pub debug: bool,
}

/// The front door as the router holds it.
pub(crate) type SharedFront = Arc<Front>;
/// The front door as a handler takes it.
pub(crate) type App = State<SharedFront>;

impl Front {
    /// The moment, from the machine's clock.
    pub(crate) fn now(&self) -> Timestamp {
        now()
    }

    /// Runs work that touches the disk off the reactor.
    pub(crate) async fn blocking<T, E, F>(self: &Arc<Self>, work: F) -> Result<T>
    where
        T: Send + 'static,
        E: Into<ApiError> + Send + 'static,
        F: FnOnce(&Front) -> Result<T, E> + Send + 'static,
    {
        let front = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&front)).await {
            Ok(result) => result.map_err(Into::into),
            Err(error) => {
                Err(ApiError::new(shoal_model::Kind::Internal, format!("work was lost: {error}")))
            }
        }
    }

    /// Tells the listeners of `events` what this front door did to an object
    /// that has no events of its own.
    pub(crate) fn tell(
        &self,
        object: ObjectType,
        action: &str,
        id: &str,
        attributes: &[(&str, impl AsRef<str>)],
    ) {
        let attributes = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_ref().to_owned()))
            .collect();
        self.engine.events().publish(Event {
            time: now(),
            object,
            action: action.to_owned(),
            id: id.to_owned(),
            attributes,
        });
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.map(|since| since.as_nanos()).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}
