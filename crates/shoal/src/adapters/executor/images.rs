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
use tokio::sync::{Mutex, Semaphore};

/// How long one look at a registry serves all tasks with that image: the
/// length of a large scale-out.
const FRESH: Duration = Duration::from_secs(20);
/// Images pulled at one time: each pulls its layers in parallel already.
const MAX_PULLS: usize = 16;
/// References remembered; the stale ones go first, then all.
const MAX_REMEMBERED: usize = 256;

/// One image, with the credentials to ask for it.
type Key = (String, String);

/// What is known of one image.
#[derive(Default)]
struct Slot {
    /// Held by the task that asks.
    asking: Mutex<()>,
    answer: std::sync::Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Slot {
    /// The registry's last answer, if it is still worth something.
    fn fresh(&self) -> Option<Result<(), String>> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = answer.as_ref().filter(|(when, _)| when.elapsed() < FRESH);
        fresh.map(|(_, result)| result.clone())
    }

    fn set(&self, result: Result<(), String>) {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        *answer = Some((Instant::now(), result));
    }

    fn failure(&self) -> Option<String> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.as_ref().and_then(|(_, result)| result.clone().err())
    }

    fn is_needed(&self) -> bool {
        self.asking.try_lock().is_err() || self.fresh().is_some()
    }
}

/// Pulls, remembered for a moment.
pub(super) struct Pulls {
    images: Arc<Store>,
    /// Places for asking registries; who waits for another's answer needs none.
    places: Semaphore,
    recent: std::sync::Mutex<HashMap<Key, Arc<Slot>>>,
}

impl Pulls {
    /// For a store.
    pub(super) fn new(images: Arc<Store>) -> Self {
        Self { images, places: Semaphore::new(MAX_PULLS), recent: std::sync::Mutex::default() }
    }

    /// Makes sure the image is here and fresh, if it can be had.
    pub(super) async fn fetch(&self, image: &str, registry_auth: &str) {
        // What is no reference is refused when the container is made.
        let Ok(reference) = Reference::parse(image) else { return };
        if reference.digest().is_some() && self.images.resolve(image).is_ok() {
            return;
        }
        let slot = self.slot(image, registry_auth);
        // Tasks that come while one of them asks wait for its answer.
        let _asking = slot.asking.lock().await;
        if slot.fresh().is_some() {
            return;
        }
        let Ok(_place) = self.places.acquire().await else { return };
        let result = self.pull(&reference.with_default_tag(), registry_auth).await;
        if let Err(why) = &result {
            tracing::info!(image, why, "an image of a task was not pulled");
        }
        slot.set(result);
    }

    /// Why the registry could not be asked for an image when it last was.
    pub(super) fn failure(&self, image: &str, registry_auth: &str) -> Option<String> {
        if let Err(error) = Reference::parse(image) {
            return Some(error.to_string());
        }
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(&(image.to_owned(), registry_auth.to_owned()))?.failure()
    }

    async fn pull(&self, reference: &Reference, registry_auth: &str) -> Result<(), String> {
        let auth = match registry_auth {
            "" => Auth::Anonymous,
            text => parse_registry_auth(text)?,
        };
        let pulled = self.images.pull(reference, &auth, None, no_progress()).await;
        pulled.map(drop).map_err(|error| error.chain())
    }

    fn slot(&self, image: &str, registry_auth: &str) -> Arc<Slot> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= MAX_REMEMBERED {
            recent.retain(|_, slot| slot.is_needed());
        }
        if recent.len() >= MAX_REMEMBERED {
            recent.clear();
        }
        recent.entry((image.to_owned(), registry_auth.to_owned())).or_default().clone()
    }
}
