//! Building the binaries: `shoal`, and beside it `shoal-shim`.
//!
//! The shim has a profile and code-generation flags of its own (it stays in
//! memory once per container), so it is not what a plain `cargo build` makes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::run::{cargo, workspace};

/// How `shoal` itself is built.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// For tests: quick to build.
    Dev,
    /// For the demo and the bench: quick to run.
    Release,
}

/// A folder with both binaries.
pub(crate) struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The command line and daemon.
    pub(crate) fn shoal(&self) -> PathBuf {
        self.dir.join("shoal")
    }
}

/// Builds both binaries and puts them into one folder.
pub(crate) fn binaries(profile: Profile) -> Result<Binaries> {
    let (name, folder) = match profile {
        Profile::Dev => ("dev", "debug"),
        Profile::Release => ("release", "release"),
    };
    cargo(["build", "--package", "shoal", "--bin", "shoal", "--profile", name]).run()?;
    shim()?;
    let target = target_dir().join(host_tuple()?);
    let dir = target.join(folder);
    // The plain build of the workspace may have put a shim there: ours is
    // the one built for size.
    let built = target.join("shim").join("shoal-shim");
    let place = dir.join("shoal-shim");
    let fresh = dir.join("shoal-shim.new");
    std::fs::copy(&built, &fresh).with_context(|| format!("cannot copy {}", built.display()))?;
    std::fs::rename(&fresh, &place).with_context(|| format!("cannot write {}", place.display()))?;
    Ok(Binaries { dir })
}

fn shim() -> Result<()> {
    // Not position-independent: relocations would cost every shim its own
    // copy of the pages they touch.
    cargo(["rustc", "--package", "shoal-runtime", "--bin", "shoal-shim", "--profile", "shim"])
        .args(["--", "-C", "relocation-model=static"])
        .run()
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

fn host_tuple() -> Result<String> {
    let output = crate::run::command("rustc").args(["--print", "host-tuple"]).output()?;
    Ok(output.trim().to_owned())
}
