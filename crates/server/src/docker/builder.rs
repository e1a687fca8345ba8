//! What `POST /build` needs of whoever runs builds.

use std::future::Future;
use std::pin::Pin;

use shoal_build::{Build, BuildError, Event};
use shoal_image::Auth;
use shoal_model::Digest;
use tokio::sync::mpsc;

/// Credentials for the registries a build pulls from, by registry.
#[derive(Debug, Clone, Default)]
pub struct BuildAuth(pub Vec<(String, Auth)>);

/// Runs builds. Dropping the future cancels the build.
pub trait Builder: Send + Sync + 'static {
    /// Solves one build and tells what happens meanwhile.
    fn solve(
        &self,
        build: Build,
        auth: BuildAuth,
        events: mpsc::Sender<Event>,
    ) -> Pin<Box<dyn Future<Output = Result<Digest, BuildError>> + Send>>;
}
