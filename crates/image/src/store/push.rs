//! Pushing: layers and document first, then the manifest under its tag.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use shoal_model::{Digest, Reference};

use super::{
    Inner, Lease, Store,
    layers::{Encoding, Form},
    pull::{blocking, sum},
    put::NewImage,
};
use crate::{
    Auth, Error, Image, LayerState, Progress, ProgressSink, PushOutcome, Result,
    manifest::{
        self, DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, Descriptor, Document, Manifest,
        OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST,
    },
    remote::{Session, Upload},
};

#[path = "send.rs"]
mod send;

/// Layers sent at a time (Docker's default).
const PARALLEL_UPLOADS: usize = 5;

impl Store {
    /// Pushes a tag.
    ///
    /// # Errors
    /// [`crate::Error::NotTagged`], [`crate::Error::NoSuchTag`], and the registry's ([`crate::RemoteError`]).
    pub async fn push(
        &self,
        reference: &Reference,
        auth: &Auth,
        progress: ProgressSink,
    ) -> Result<PushOutcome> {
        if reference.digest().is_some() {
            return Err(Error::invalid("push", "cannot push a digest reference"));
        }
        let name = reference.clone().with_default_tag();
        // Said before it is known whether the image is here, as by Docker.
        progress(Progress::PushRefersTo(name.name()));
        let lease = self.lease();
        let image = {
            let mut state = self.inner.state();
            let id = state.index.tags.get(&name);
            let image = id.and_then(|id| state.image(id));
            let image = image.ok_or_else(|| {
                match state.index.tags.keys().any(|tag| tag.name() == name.name()) {
                    true => Error::NoSuchTag(name.familiar()),
                    false => Error::NotTagged(name.familiar_name()),
                }
            })?;
            state.hold_image(lease.id(), &image);
            image
        };
        let push = Push { store: &self.inner, name, image, sink: progress };
        push.run(auth, &lease).await
    }
}

struct Push<'a> {
    store: &'a Arc<Inner>,
    name: Reference,
    image: Image,
    sink: ProgressSink,
}

impl Push<'_> {
    async fn run(&self, auth: &Auth, lease: &Lease) -> Result<PushOutcome> {
        let mut seen = HashSet::new();
        let unique: Vec<&Digest> = self.image.layers.iter().filter(|id| seen.insert(*id)).collect();
        for diff_id in unique.iter().rev() {
            send::tell(&self.sink, diff_id, LayerState::Preparing, 0, 0);
        }
        let session = self.session(auth, &unique).await?;
        let known = self.known_manifest(lease).await;
        let mut sends: Vec<BoxFuture<'_, Result<(&Digest, Form)>>> = Vec::new();
        for diff_id in unique {
            let wanted = known.as_ref().and_then(|known| known.layers.get(diff_id)).cloned();
            let send = send::Send {
                store: self.store,
                session: &session,
                name: &self.name,
                diff_id,
                sink: &self.sink,
            };
            sends.push(async move { Ok((diff_id, send.run(wanted).await?)) }.boxed());
        }
        let sent: HashMap<&Digest, Form> =
            stream::iter(sends).buffer_unordered(PARALLEL_UPLOADS).try_collect().await?;
        let document = self.store.read_blob(&self.image.id)?;
        self.document(&session, &document).await?;
        let (media_type, bytes) = match known.filter(|known| known.fits(&sent)) {
            Some(known) => (known.media_type, known.bytes),
            None => self.new_manifest(&sent, document.len() as u64)?,
        };
        let tag = self.name.tag().unwrap_or("latest").to_owned();
        session.put_manifest(&tag, &media_type, &bytes).await?;
        self.remember(bytes, document, tag).await
    }

    /// A session that may also read the repositories a registry could take
    /// layers over from.
    async fn session(&self, auth: &Auth, layers: &[&Digest]) -> Result<Session> {
        let mut scopes = vec![Session::push_scope(&self.name)];
        for diff_id in layers {
            for form in self.store.layer_record(diff_id)?.forms {
                for source in send::mountable(&form, &self.name) {
                    let scope = Session::pull_scope(source);
                    if !scopes.contains(&scope) {
                        scopes.push(scope);
                    }
                }
            }
        }
        Ok(self.store.registries.session(&self.name, auth, scopes).await?)
    }

    async fn document(&self, session: &Session, bytes: &[u8]) -> Result<()> {
        if session.has_blob(&self.image.id).await? {
            return Ok(());
        }
        if let Upload::To(url) = session.begin_upload(None).await? {
            let body = send::body_of(bytes.to_vec());
            session.upload(&url, &self.image.id, bytes.len() as u64, body).await?;
        }
        Ok(())
    }

    /// A manifest the image came with, if all its layers are here as it names
    /// them: pushed again, the image keeps its digest.
    async fn known_manifest(&self, lease: &Lease) -> Option<Known> {
        let manifests = self.store.state().index.images.get(&self.image.id)?.manifests.clone();
        for digest in manifests.iter().rev() {
            lease.hold_blob(digest);
            let (store, wanted) = (self.store.clone(), digest.clone());
            let Ok(bytes) = blocking(move || store.read_blob(&wanted)).await else { continue };
            let Ok(Document::Image(manifest)) = manifest::parse(&bytes) else { continue };
            if let Some(layers) = self.forms_of(&manifest) {
                let media_type = match manifest.media_type.as_str() {
                    "" => OCI_MANIFEST.into(),
                    given => given.to_owned(),
                };
                return Some(Known { media_type, bytes, layers });
            }
        }
        None
    }

    /// The forms a manifest names, as long as each is known here.
    fn forms_of(&self, manifest: &Manifest) -> Option<HashMap<Digest, Form>> {
        let mut found = HashMap::new();
        for (diff_id, layer) in self.image.layers.iter().zip(&manifest.layers) {
            let record = self.store.layer_record(diff_id).ok()?;
            let form = record.forms.into_iter().find(|form| form.digest == layer.digest)?;
            found.insert(diff_id.clone(), form);
        }
        (manifest.layers.len() == self.image.layers.len()).then_some(found)
    }

    /// Docker's own form, except where a layer is compressed in a way that
    /// only OCI has a name for.
    fn new_manifest(
        &self,
        sent: &HashMap<&Digest, Form>,
        document: u64,
    ) -> Result<(String, Vec<u8>)> {
        let docker = sent.values().all(|form| form.encoding == Encoding::Gzip);
        let mut layers = Vec::new();
        for diff_id in &self.image.layers {
            let form = sent.get(diff_id).ok_or_else(|| Error::NoSuchContent(diff_id.clone()))?;
            let media_type = match form.encoding {
                Encoding::Gzip if docker => DOCKER_LAYER_GZIP,
                Encoding::Gzip => OCI_LAYER_GZIP,
                Encoding::Zstd => OCI_LAYER_ZSTD,
                Encoding::Plain => OCI_LAYER,
            };
            layers.push(Descriptor::new(media_type, form.digest.clone(), form.size));
        }
        let (own, config) =
            if docker { (DOCKER_MANIFEST, DOCKER_CONFIG) } else { (OCI_MANIFEST, OCI_CONFIG) };
        let manifest = Manifest {
            schema_version: 2,
            media_type: own.into(),
            config: Descriptor::new(config, self.image.id.clone(), document),
            layers,
        };
        let bytes = serde_json::to_vec(&manifest).map_err(|e| Error::invalid("manifest", e))?;
        Ok((own.into(), bytes))
    }

    async fn remember(
        &self,
        manifest: Vec<u8>,
        document: Vec<u8>,
        tag: String,
    ) -> Result<PushOutcome> {
        let (digest, size) = (sum(&manifest), manifest.len() as u64);
        let (store, lease) = (self.store.clone(), self.store.lease());
        let name = self.name.without_suffix().with_digest(digest.clone());
        blocking(move || {
            let manifests = [store.put_bytes(&manifest, &lease)?];
            let new = NewImage { digests: &[name], manifests: &manifests, ..NewImage::default() };
            store.put_image(&document, &new, &lease)
        })
        .await?;
        (self.sink)(Progress::TagPushed { tag, digest: digest.clone(), size });
        Ok(PushOutcome { digest, size })
    }
}

/// A manifest that can be pushed as it is.
struct Known {
    media_type: String,
    bytes: Vec<u8>,
    layers: HashMap<Digest, Form>,
}

impl Known {
    /// What was sent is what the manifest names: a form known only by its
    /// digest may have come out otherwise when made again.
    fn fits(&self, sent: &HashMap<&Digest, Form>) -> bool {
        self.layers
            .iter()
            .all(|(diff_id, form)| sent.get(diff_id).is_some_and(|sent| sent.digest == form.digest))
    }
}
