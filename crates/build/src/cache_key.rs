//! When a step need not run again: keys made of everything its result depends
//! on.
//!
//! Pure. A key is a chain: that of the step before (which stands for the base
//! image, the layers and the configuration so far), the instruction with its
//! variables expanded, the build arguments it can see, and the checksums of
//! what it copies. Times never enter.

use std::fmt;

use sha2::{Digest as _, Sha256};
use shoal_model::Digest;

/// Part of every key: a change of what a step means must change all keys.
const FORMAT: &str = "shoal build step 2";

/// The identity of a step's result.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The key of an image a stage begins with, or of the empty `scratch`.
    pub fn base(image: Option<&Digest>, platform: &str) -> Self {
        let mut hash = begin();
        for part in ["from", image.map_or("scratch", Digest::as_str), platform] {
            add(&mut hash, part);
        }
        Self(hash.finalize().into())
    }

    /// The key of a step after this one.
    pub fn step<S: AsRef<str>>(&self, parts: impl IntoIterator<Item = S>) -> Self {
        let mut hash = begin();
        add(&mut hash, "step");
        add(&mut hash, &self.hex());
        parts.into_iter().for_each(|part| add(&mut hash, part.as_ref()));
        Self(hash.finalize().into())
    }

    /// 64 hexadecimal digits, fit for a file name.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

fn begin() -> Sha256 {
    let mut hash = Sha256::new();
    add(&mut hash, FORMAT);
    hash
}

/// Each part goes in with its length, so that no two lists are alike.
fn add(hash: &mut Sha256, part: &str) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part.as_bytes());
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_so_does_its_end() {
        let image = Digest::sha256([7; 32]);
        let base = CacheKey::base(Some(&image), "linux/amd64");
        let keys = [
            CacheKey::base(None, "linux/amd64"),
            base.clone(),
            CacheKey::base(Some(&image), "linux/arm64"),
            base.step(["RUN", "ab", "c"]),
            base.step(["RUN", "a", "bc"]),
            base.step(["RUN", "ab", "c"]).step(["RUN", "ab", "c"]),
            base.step(vec!["RUN", "ab", "c", ""]),
        ];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(base.step(["x"]), base.step(["x"]));
    }
}
