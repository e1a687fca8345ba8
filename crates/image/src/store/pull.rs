//! Pulling: manifest, document, layers, and only then the name.
//!
//! Several callers that want the same image at the same time share one pull;
//! it ends when the last of them leaves.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use futures_util::{
    FutureExt, StreamExt, TryStreamExt,
    future::{BoxFuture, Shared, WeakShared},
    stream,
};
use sha2::{Digest as _, Sha256};
use shoal_model::{Digest, Platform, Reference};

use super::{
    Inner, Lease, Store,
    put::{MAX_CONFIG_BYTES, NewImage, parse_config},
};
use crate::{
    Auth, Error, LayerState, Progress, ProgressSink, PullOutcome, RemoteError, Result,
    manifest::{self, Descriptor, Document, Manifest},
    remote::{FetchedManifest, Session},
};

#[path = "fetch.rs"]
mod fetch;

/// Layers fetched at a time (Docker's default).
const PARALLEL_DOWNLOADS: usize = 3;
/// Indexes within indexes.
const MAX_INDEX_DEPTH: u32 = 4;

type Outcome = Result<PullOutcome, Arc<Error>>;
type Flight = Shared<BoxFuture<'static, Outcome>>;

/// A pull under way, as long as somebody waits for it, and who is told. The
/// sinks belong to the pull: they are dropped when it ends, which is how a
/// listener at the other end of a channel learns that nothing more comes.
type Joined = (WeakShared<BoxFuture<'static, Outcome>>, Weak<Mutex<Vec<ProgressSink>>>);

/// Pulls under way.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<FlightKey, Joined>>);

/// What makes two pulls the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct FlightKey {
    name: Reference,
    auth: Auth,
    platform: Option<Platform>,
}

impl Store {
    /// Pulls a tag or digest, layers in parallel, for `platform` (the host's
    /// if unset). Several pulls of one reference are one pull. Dropping the
    /// future cancels it.
    ///
    /// # Errors
    /// Docker's texts ([`crate::RemoteError`]); [`crate::Error::Layer`] when a layer
    /// cannot be unpacked.
    pub async fn pull(
        &self,
        reference: &Reference,
        auth: &Auth,
        platform: Option<&Platform>,
        progress: ProgressSink,
    ) -> Result<PullOutcome> {
        let key = FlightKey {
            name: reference.clone().with_default_tag(),
            auth: auth.clone(),
            platform: platform.cloned(),
        };
        let flight = self.inner.join_flight(key, progress);
        flight.await.map_err(Error::Shared)
    }
}

impl Inner {
    fn join_flight(self: &Arc<Self>, key: FlightKey, progress: ProgressSink) -> Flight {
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, (flight, _)| {
            flight.upgrade().is_some_and(|flight| flight.peek().is_none())
        });
        if let Some((flight, sinks)) = flights.get(&key)
            && let (Some(flight), Some(sinks)) = (flight.upgrade(), sinks.upgrade())
        {
            sinks.lock().unwrap_or_else(PoisonError::into_inner).push(progress);
            return flight;
        }
        let sinks = Arc::new(Mutex::new(vec![progress]));
        let joined = Arc::downgrade(&sinks);
        let sink: ProgressSink = Arc::new(move |event: Progress| {
            for sink in sinks.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                sink(event.clone());
            }
        });
        let pull = Pull { store: self.clone(), key: key.clone(), sink };
        let flight = async move { pull.run().await.map_err(Arc::new) }.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key, (weak, joined));
        }
        flight
    }
}

/// One pull.
struct Pull {
    store: Arc<Inner>,
    key: FlightKey,
    sink: ProgressSink,
}

impl Pull {
    async fn run(self) -> Result<PullOutcome> {
        let name = &self.key.name;
        let of_pull = |error: RemoteError| Error::from(error.of_pull(name));
        let scopes = vec![Session::pull_scope(name)];
        let session = self.store.registries.session(name, &self.key.auth, scopes).await;
        let session = session.map_err(of_pull)?;
        let wanted = wanted(name);
        let top = session.manifest(&wanted).await.map_err(of_pull)?;
        (self.sink)(Progress::PullingFrom { path: name.path().into(), tag: wanted });
        let digest = top.digest.clone();
        let (fetched, image) = self.choose(&session, top).await?;
        let lease = self.store.lease();
        let document = self.document(&session, &image.config).await?;
        let config = parse_config(&document)?;
        check_platform(name, self.key.platform.as_ref(), &config.platform())?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != image.layers.len() {
            let reason = "layers from manifest don't match image configuration";
            return Err(Error::invalid("manifest", reason));
        }
        let fetched_any = self.layers(&session, diff_ids, &image, &lease).await?;
        self.name(&fetched, digest, document, fetched_any, lease).await
    }

    /// The image manifest, through an index if there is one.
    async fn choose(
        &self,
        session: &Session,
        mut fetched: FetchedManifest,
    ) -> Result<(FetchedManifest, Manifest)> {
        let machine = self.key.platform.clone().unwrap_or_else(Platform::host);
        for _ in 0..MAX_INDEX_DEPTH {
            match manifest::parse(&fetched.bytes)? {
                Document::Image(image) => {
                    manifest::check_image(&image)?;
                    return Ok((fetched, image));
                }
                Document::Index(index) => {
                    let chosen = index.choose(&machine).ok_or_else(|| {
                        RemoteError::NotFound(format!(
                            "no matching manifest for {machine} in the manifest list entries"
                        ))
                    })?;
                    fetched = session
                        .manifest(chosen.digest.as_str())
                        .await
                        .map_err(|error| error.of_pull(&self.key.name))?;
                }
            }
        }
        Err(Error::invalid("manifest", "too many indexes within each other"))
    }

    async fn document(&self, session: &Session, config: &Descriptor) -> Result<Vec<u8>> {
        let here =
            self.store.has_blob(&config.digest).then(|| self.store.read_blob(&config.digest));
        match here {
            Some(Ok(bytes)) if sum(&bytes) == config.digest => Ok(bytes),
            _ => fetch_document(session, config).await,
        }
    }

    /// Fetches what is missing; whether anything was.
    async fn layers(
        &self,
        session: &Session,
        diff_ids: &[Digest],
        image: &Manifest,
        lease: &Lease,
    ) -> Result<bool> {
        if self.is_here(&image.config.digest, diff_ids, lease) {
            return Ok(false);
        }
        let mut seen = HashSet::new();
        let work: Vec<_> = diff_ids
            .iter()
            .zip(&image.layers)
            .filter(|(diff_id, _)| seen.insert(*diff_id))
            .collect();
        for (diff_id, layer) in &work {
            if self.store.hold_if_present(diff_id, lease).is_none() {
                fetch::tell(&self.sink, layer, LayerState::PullingFsLayer, 0);
            }
        }
        let mut fetches: Vec<BoxFuture<'_, Result<bool>>> = Vec::with_capacity(work.len());
        for (diff_id, layer) in work {
            let fetch = fetch::Fetch {
                store: &self.store,
                session,
                name: &self.key.name,
                layer,
                diff_id,
                lease,
                sink: &self.sink,
            };
            fetches.push(fetch.run().boxed());
        }
        let fetched: Vec<bool> =
            stream::iter(fetches).buffer_unordered(PARALLEL_DOWNLOADS).try_collect().await?;
        Ok(fetched.contains(&true))
    }

    /// The whole image was here before; the lease holds its layers.
    fn is_here(&self, id: &Digest, diff_ids: &[Digest], lease: &Lease) -> bool {
        let known = self.store.state().index.images.contains_key(id);
        known && diff_ids.iter().all(|layer| self.store.hold_if_present(layer, lease).is_some())
    }

    /// The image appears.
    async fn name(
        &self,
        fetched: &FetchedManifest,
        digest: Digest,
        document: Vec<u8>,
        fetched_any: bool,
        lease: Lease,
    ) -> Result<PullOutcome> {
        let name = &self.key.name;
        let (store, bytes) = (self.store.clone(), fetched.bytes.clone());
        let digests = vec![name.without_suffix().with_digest(digest.clone())];
        let tags: Vec<Reference> =
            if name.digest().is_some() { Vec::new() } else { vec![name.clone()] };
        let known = {
            let index = &self.store.state().index;
            let names = tags.iter().chain(&digests);
            names.map(|name| index.named(name).cloned()).collect::<Vec<_>>()
        };
        // Holds the layers until the image names them, and the whole until the
        // caller has seen it.
        let lease = Arc::new(lease);
        let keeping = lease.clone();
        let put = move || {
            let manifest = store.put_bytes(&bytes, &keeping)?;
            let new =
                NewImage { tags: &tags, digests: &digests, manifests: &[manifest], parent: None };
            store.put_image(&document, &new, &keeping)
        };
        let image = blocking(put).await?;
        let newer = fetched_any || known.iter().any(|id| id.as_ref() != Some(&image.id));
        (self.sink)(Progress::Digest(digest.clone()));
        let what = if newer { "Downloaded newer image" } else { "Image is up to date" };
        (self.sink)(Progress::Status(format!("Status: {what} for {}", name.familiar())));
        Ok(PullOutcome { digest, image, newer, lease })
    }
}

/// The part of a reference that a registry is asked for.
pub(super) fn wanted(name: &Reference) -> String {
    match (name.digest(), name.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or("latest").to_owned(),
    }
}

/// Whether an image may be taken for `machine`; Docker's words if not.
fn check_platform(name: &Reference, asked: Option<&Platform>, actual: &Platform) -> Result<()> {
    match asked {
        Some(asked) if !actual.runs_on(asked) => Err(RemoteError::NotFound(format!(
            "image with reference {} was found but does not match the specified platform: \
             wanted {asked}, actual: {actual}",
            name.familiar()
        ))
        .into()),
        _ => Ok(()),
    }
}

/// The image document, which must have the digest the manifest names.
pub(super) async fn fetch_document(session: &Session, config: &Descriptor) -> Result<Vec<u8>> {
    let bytes = session.document(&config.digest, MAX_CONFIG_BYTES as usize).await?;
    let actual = sum(&bytes);
    if actual != config.digest {
        let expected = config.digest.clone();
        return Err(Error::DigestMismatch { what: "image config".into(), expected, actual });
    }
    Ok(bytes)
}

/// Runs file work where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::Cancelled("the operation".into())),
    }
}

pub(super) fn sum(bytes: &[u8]) -> Digest {
    Digest::sha256(Sha256::digest(bytes).into())
}
