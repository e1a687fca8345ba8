//! Fetching the images of tasks.
//!
//! An image named by digest that is here is the right one. One named by tag is
//! looked up at its registry, once for all tasks that start together.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use shoal_image::{Auth, Store, no_progress};
use shoal_model::{Classify, Reference};
use shoal_server::docker::parse_registry_auth;
use tokio::sync::Mutex;

/// How long one look at a registry serves all tasks with that image: the
/// length of a large scale-out.
const FRESH: Duration = Duration::from_secs(20);
/// References remembered; the stale ones go first, then all.
const MAX_REMEMBERED: usize = 256;

type Slot = Arc<Mutex<Option<(Instant, Result<(), String>)>>>;

/// Pulls, remembered for a moment.
pub(super) struct Pulls {
    images: Arc<Store>,
    recent: std::sync::Mutex<HashMap<(String, String), Slot>>,
}

impl Pulls {
    /// For a store.
    pub(super) fn new(images: Arc<Store>) -> Self {
        Self { images, recent: std::sync::Mutex::default() }
    }

    /// Makes sure the image is here and fresh. The error says why the registry
    /// could not be asked; the image may be here all the same.
    pub(super) async fn fetch(&self, image: &str, registry_auth: &str) -> Result<(), String> {
        let reference = Reference::parse(image).map_err(|error| error.to_string())?;
        if reference.digest().is_some() && self.images.resolve(image).is_ok() {
            return Ok(());
        }
        let slot = self.slot(image, registry_auth);
        // Tasks that come while one of them asks wait for its answer.
        let mut answer = slot.lock().await;
        if let Some((when, result)) = &*answer
            && when.elapsed() < FRESH
        {
            return result.clone();
        }
        let result = self.pull(&reference.with_default_tag(), registry_auth).await;
        if let Err(why) = &result {
            tracing::info!(image, why, "an image of a task was not pulled");
        }
        *answer = Some((Instant::now(), result.clone()));
        result
    }

    async fn pull(&self, reference: &Reference, registry_auth: &str) -> Result<(), String> {
        let auth = match registry_auth {
            "" => Auth::Anonymous,
            text => parse_registry_auth(text)?,
        };
        let pulled = self.images.pull(reference, &auth, None, no_progress()).await;
        pulled.map(drop).map_err(|error| error.chain())
    }

    fn slot(&self, image: &str, registry_auth: &str) -> Slot {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= MAX_REMEMBERED {
            recent.retain(|_, slot| {
                slot.try_lock()
                    .is_ok_and(|slot| slot.as_ref().is_some_and(|(when, _)| when.elapsed() < FRESH))
            });
        }
        if recent.len() >= MAX_REMEMBERED {
            recent.clear();
        }
        recent.entry((image.to_owned(), registry_auth.to_owned())).or_default().clone()
    }
}
