//! Questions to registries that change nothing here.

use shoal_model::{Reference, registry_domain};

use super::{
    Store,
    pull::{fetch_document, wanted},
    put::parse_config,
};
use crate::{
    Auth, Error, RemoteError, RemoteManifest, Result,
    manifest::{self, Document, WirePlatform},
    remote::Session,
};

impl Store {
    /// Asks the registry whether it takes these credentials.
    ///
    /// # Errors
    /// [`crate::RemoteError`] when it does not.
    pub async fn login(&self, registry: &str, auth: &Auth) -> Result<()> {
        let domain = registry_domain(registry);
        let name = Reference::parse(&format!("{domain}/login"))
            .map_err(|_| Error::invalid("registry address", format!("{registry:?}")))?;
        let session = self.inner.registries.session(&name, auth, Vec::new()).await?;
        Ok(session.check().await?)
    }

    /// The tags of a repository at its registry (`pull --all-tags`).
    ///
    /// # Errors
    /// [`crate::RemoteError`].
    pub async fn remote_tags(&self, repository: &Reference, auth: &Auth) -> Result<Vec<String>> {
        let scopes = vec![Session::pull_scope(repository)];
        let session = self.inner.registries.session(repository, auth, scopes).await?;
        Ok(session.tags().await.map_err(|error| error.of_pull(repository))?)
    }

    /// What the registry has under a reference (`/distribution/…/json`, and to
    /// pin a service's image).
    ///
    /// # Errors
    /// [`crate::RemoteError`].
    pub async fn remote_manifest(
        &self,
        reference: &Reference,
        auth: &Auth,
    ) -> Result<RemoteManifest> {
        let name = reference.clone().with_default_tag();
        let of_pull = |error: RemoteError| Error::from(error.of_pull(&name));
        let scopes = vec![Session::pull_scope(&name)];
        let session = self.inner.registries.session(&name, auth, scopes).await.map_err(of_pull)?;
        let fetched = session.manifest(&wanted(&name)).await.map_err(of_pull)?;
        let platforms = match manifest::parse(&fetched.bytes)? {
            Document::Index(index) => index
                .manifests
                .iter()
                .filter_map(|entry| entry.platform.as_ref())
                .filter(|platform| platform.os != "unknown")
                .map(WirePlatform::to_model)
                .collect(),
            Document::Image(image) => {
                manifest::check_image(&image)?;
                let document = fetch_document(&session, &image.config).await?;
                vec![parse_config(&document)?.platform()]
            }
        };
        Ok(RemoteManifest {
            digest: fetched.digest,
            media_type: fetched.media_type,
            size: fetched.bytes.len() as u64,
            platforms,
        })
    }
}
