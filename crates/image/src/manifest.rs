//! Manifests and indexes, OCI's and Docker's (schema 2): the documents by
//! which registries and archives name the parts of an image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shoal_model::{Digest, Platform};

use crate::{Error, Result};

/// Longest manifest or index (the distribution spec asks registries to take
/// at least this much).
pub(crate) const MAX_MANIFEST_BYTES: u64 = 4 << 20;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(crate) const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// What a pull accepts, most wanted first.
pub(crate) const ACCEPTED: [&str; 4] = [DOCKER_MANIFEST, DOCKER_INDEX, OCI_MANIFEST, OCI_INDEX];

/// Where containerd and Docker put an image's whole name in an index.
pub(crate) const ANNOTATION_NAME: &str = "io.containerd.image.name";
/// The OCI layout's place for a name, in practice often only a tag.
pub(crate) const ANNOTATION_REF: &str = "org.opencontainers.image.ref.name";

/// A part by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<WirePlatform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) urls: Vec<String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
        }
    }
}

/// A platform as indexes write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WirePlatform {
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) variant: String,
}

impl WirePlatform {
    pub(crate) fn to_model(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
        }
    }
}

/// One image: its document and its layers, lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// Several images, for several platforms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManifestIndex {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

/// Either document.
pub(crate) enum Document {
    Image(Manifest),
    Index(ManifestIndex),
}

/// Reads a manifest or index. What it is is told by its members: the media
/// type of the answer is the registry's word, and OCI documents may have none.
pub(crate) fn parse(bytes: &[u8]) -> Result<Document> {
    let wrong = |error: &dyn std::fmt::Display| Error::invalid("manifest", error);
    if bytes.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(wrong(&"too long"));
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Probe {
        #[serde(default)]
        schema_version: u32,
        manifests: Option<serde::de::IgnoredAny>,
        config: Option<serde::de::IgnoredAny>,
    }
    let probe: Probe = serde_json::from_slice(bytes).map_err(|error| wrong(&error))?;
    match probe {
        Probe { schema_version: 1, .. } => Err(Error::NotSupported(
            "an image manifest of Docker's schema version 1 (deprecated by all registries)".into(),
        )),
        // Both would be read differently by different programs.
        Probe { manifests: Some(_), config: Some(_), .. } => {
            Err(wrong(&"both an image and an index"))
        }
        Probe { manifests: Some(_), .. } => {
            serde_json::from_slice(bytes).map(Document::Index).map_err(|error| wrong(&error))
        }
        _ => serde_json::from_slice(bytes).map(Document::Image).map_err(|error| wrong(&error)),
    }
}

impl ManifestIndex {
    /// The entry for a machine: what its platform names, else, for the host,
    /// what it also runs.
    pub(crate) fn choose(&self, machine: &Platform) -> Option<&Descriptor> {
        let platform = |entry: &Descriptor| entry.platform.as_ref().map(WirePlatform::to_model);
        let candidates = || {
            // Attestations stand in indexes, too, for a platform of no name.
            self.manifests.iter().filter(|entry| {
                entry.media_type.is_empty() || ACCEPTED.contains(&entry.media_type.as_str())
            })
        };
        let exact = candidates().find(|entry| platform(entry).as_ref() == Some(machine));
        exact
            .or_else(|| candidates().find(|e| platform(e).is_some_and(|p| p.runs_on(machine))))
            .or_else(|| {
                // Without platforms there is nothing to choose by.
                let mut all = candidates();
                let only = all.next()?;
                (all.next().is_none() && only.platform.is_none()).then_some(only)
            })
    }
}

/// Checks that this is an image for containers, not some other artifact.
pub(crate) fn check_image(manifest: &Manifest) -> Result<()> {
    match manifest.config.media_type.as_str() {
        OCI_CONFIG | DOCKER_CONFIG | "" => {}
        other => {
            return Err(Error::invalid("manifest", format!("unsupported media type {other}")));
        }
    }
    match manifest.layers.iter().find(|layer| !layer.urls.is_empty()) {
        Some(_) => {
            Err(Error::NotSupported("a layer that another server holds (foreign layer)".into()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(os: &str, architecture: &str, digest: u8) -> Descriptor {
        let mut made = Descriptor::new(OCI_MANIFEST, Digest::sha256([digest; 32]), 1);
        made.platform = Some(WirePlatform {
            os: os.into(),
            architecture: architecture.into(),
            variant: String::new(),
        });
        made
    }

    #[test]
    fn the_entry_for_the_machine_is_chosen() {
        let index = ManifestIndex {
            schema_version: 2,
            media_type: OCI_INDEX.into(),
            manifests: vec![
                entry("unknown", "unknown", 0),
                entry("linux", "arm64", 1),
                entry("linux", "amd64", 2),
            ],
        };
        let digest = |text: &str| {
            index.choose(&Platform::parse(text).unwrap()).map(|found| found.digest.clone())
        };
        assert_eq!(digest("linux/amd64"), Some(Digest::sha256([2; 32])));
        assert_eq!(digest("linux/arm64/v8"), Some(Digest::sha256([1; 32])));
        assert_eq!(digest("linux/s390x"), None);
    }

    #[test]
    fn documents_are_told_apart_and_doubtful_ones_refused() {
        let descriptor = r#"{"mediaType":"x","size":1,"digest":"sha256:0707070707070707070707070707070707070707070707070707070707070707"}"#;
        let image = format!(r#"{{"schemaVersion":2,"config":{descriptor},"layers":[]}}"#);
        assert!(matches!(parse(image.as_bytes()), Ok(Document::Image(_))));
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(parse(index.as_bytes()), Ok(Document::Index(_))));
        let both = image.replace("\"layers\"", "\"manifests\":[],\"layers\"");
        assert!(parse(both.as_bytes()).is_err());
        assert!(matches!(parse(br#"{"schemaVersion":1}"#), Err(Error::NotSupported(_))));
        assert!(parse(b"[]").is_err());
    }
}
