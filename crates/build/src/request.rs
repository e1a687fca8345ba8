//! What a client asks a build to do.

use std::collections::BTreeMap;

use shoal_model::{Platform, Reference};

/// A build, apart from its context.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildRequest {
    /// Path of the Dockerfile in the context.
    pub dockerfile: String,
    /// Names for the image, with their tags.
    pub tags: Vec<Reference>,
    /// Values for `ARG`; `None` is a name without a value (`--build-arg X`
    /// where the client has no X), which declares nothing.
    pub build_args: BTreeMap<String, Option<String>>,
    /// Labels the image gets after the last instruction.
    pub labels: BTreeMap<String, String>,
    /// The stage to build, by name or number; the last one if `None`.
    pub target: Option<String>,
    /// What to build for; this machine's if `None`.
    pub platform: Option<Platform>,
    /// Run every step.
    pub no_cache: bool,
    /// Images whose steps need not run again, if they are here.
    pub cache_from: Vec<String>,
    /// Ask the registries for newer base images.
    pub pull: bool,
    /// The network of `RUN`: `default`, `none`, `host` or a name.
    pub network: String,
    /// `name:address` lines for the hosts file of `RUN`.
    pub extra_hosts: Vec<String>,
}

impl Default for BuildRequest {
    fn default() -> Self {
        Self {
            dockerfile: "Dockerfile".to_owned(),
            tags: Vec::new(),
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            target: None,
            platform: None,
            no_cache: false,
            cache_from: Vec::new(),
            pull: false,
            network: "default".to_owned(),
            extra_hosts: Vec::new(),
        }
    }
}
