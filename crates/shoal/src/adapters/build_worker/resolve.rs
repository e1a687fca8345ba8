//! The image a stage begins with.

use std::sync::Arc;

use shoal_build::{BaseImage, ResolveImage, WorkerError};
use shoal_image::{Auth, Image, Lease, ProgressSink, Store};
use shoal_model::{Classify as _, Kind, Reference, registry_domain};
use shoal_server::docker::BuildAuth;

use super::{blocking, worker_error};

/// Finds an image here, or pulls it.
pub(super) async fn resolve(
    images: &Arc<Store>,
    auth: &BuildAuth,
    lease: &Arc<Lease>,
    wanted: ResolveImage,
    progress: ProgressSink,
) -> Result<BaseImage, WorkerError> {
    let local = local(images, lease, &wanted).await?;
    let is_id = wanted.name.starts_with("sha256:");
    let image = match local {
        Some(image) if is_id || !wanted.pull => image,
        None if is_id => {
            let message = format!("No such image: {}", wanted.name);
            return Err(WorkerError::new(Kind::NotFound, message));
        }
        _ => {
            let reference = Reference::parse(&wanted.name)
                .map_err(|error| worker_error(&error))?
                .with_default_tag();
            let auth = credentials(auth, reference.domain());
            let pulled = images
                .pull(&reference, &auth, Some(&wanted.platform), progress)
                .await
                .map_err(|error| worker_error(&error))?;
            // The pull's own lease ends with its outcome.
            lease.hold_image(&pulled.image);
            pulled.image
        }
    };
    Ok(BaseImage { id: image.id.clone(), config: (*image.config).clone() })
}

/// An image to take steps from, held, if it is here.
pub(super) async fn cache_source(
    images: &Arc<Store>,
    lease: &Arc<Lease>,
    name: &str,
) -> Result<Option<BaseImage>, WorkerError> {
    let (images, lease, name) = (images.clone(), lease.clone(), name.to_owned());
    blocking(move || match images.resolve_and_lease(&name, &lease) {
        Ok(image) => Ok(Some(BaseImage { id: image.id, config: (*image.config).clone() })),
        Err(error) => {
            tracing::debug!(name, error = %error.chain(), "no image to take steps from");
            Ok(None)
        }
    })
    .await
}

/// The image, held, if it is here and made for the platform.
async fn local(
    images: &Arc<Store>,
    lease: &Arc<Lease>,
    wanted: &ResolveImage,
) -> Result<Option<Image>, WorkerError> {
    let (images, lease, wanted) = (images.clone(), lease.clone(), wanted.clone());
    blocking(move || match images.resolve_and_lease(&wanted.name, &lease) {
        Ok(image) if image.config.platform().runs_on(&wanted.platform) => Ok(Some(image)),
        Ok(_) => Ok(None),
        Err(shoal_image::Error::NoSuchImage(_)) => Ok(None),
        Err(error) => Err(worker_error(&error)),
    })
    .await
}

/// The client's credentials for a registry. Docker names its own by a URL.
fn credentials(auth: &BuildAuth, domain: &str) -> Auth {
    let found = auth.0.iter().find(|(registry, _)| registry_domain(registry) == domain);
    found.map_or(Auth::Anonymous, |(_, auth)| auth.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_by_the_names_docker_uses() {
        let basic = |name: &str| Auth::Basic { username: name.into(), password: "p".into() };
        let auth = BuildAuth(vec![
            ("https://index.docker.io/v1/".into(), basic("hub")),
            ("localhost:5000".into(), basic("local")),
        ]);
        assert_eq!(credentials(&auth, "docker.io"), basic("hub"));
        assert_eq!(credentials(&auth, "localhost:5000"), basic("local"));
        assert_eq!(credentials(&auth, "quay.io"), Auth::Anonymous);
    }
}
