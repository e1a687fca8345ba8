//! What a machine or an image is made for.

use serde::{Deserialize, Serialize};

/// Operating system and processor, in the names of OCI images (Go's names).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v8` and the like; empty where the architecture has one form only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl Platform {
    /// The platform this program was built for.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self { os: "linux".into(), architecture: architecture.into(), variant: String::new() }
    }

    /// Reads `os[/architecture[/variant]]`; parts left out are the host's.
    pub fn parse(text: &str) -> Option<Self> {
        let host = Self::host();
        let mut parts = text.split('/');
        let os = parts.next().filter(|os| !os.is_empty())?;
        let architecture = match parts.next() {
            Some("") => return None,
            Some("x86_64" | "x86-64") => "amd64".into(),
            Some("aarch64") => "arm64".into(),
            Some(other) => other.into(),
            None => host.architecture,
        };
        let variant = parts.next().unwrap_or_default().into();
        parts.next().is_none().then(|| Self { os: os.to_lowercase(), architecture, variant })
    }

    /// Whether an image for `self` runs on a machine that is `machine`.
    pub fn runs_on(&self, machine: &Self) -> bool {
        self.os == machine.os
            && self.architecture == machine.architecture
            && (self.variant.is_empty()
                || machine.variant.is_empty()
                || self.variant == machine.variant
                || (self.architecture == "arm64" && self.variant == "v8"))
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_left_out_are_the_hosts() {
        assert_eq!(Platform::parse("linux"), Some(Platform::host()));
        assert_eq!(Platform::parse("linux/arm64/v8").unwrap().to_string(), "linux/arm64/v8");
        assert_eq!(Platform::parse(""), None);
        assert_eq!(Platform::parse("a/b/c/d"), None);
    }

    #[test]
    fn another_architecture_does_not_run_here() {
        let arm = Platform::parse("linux/arm64/v8").unwrap();
        assert!(arm.runs_on(&Platform::parse("linux/arm64").unwrap()));
        assert!(!arm.runs_on(&Platform::parse("linux/amd64").unwrap()));
    }
}
