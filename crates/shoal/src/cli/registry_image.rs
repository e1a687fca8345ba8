//! `shoal registry image`: this program alone in an image.
//!
//! `shoal` is one static binary, so the image needs nothing else: a registry
//! can be run as a container on a machine that reaches no other registry.

use std::fs::File;
use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::Args;
use tar::{Builder, EntryType, Header};

use super::image::import;
use super::shell::Shell;
use crate::client::Query;
use crate::print;

/// What a container of the image does.
const CHANGES: [&str; 4] = [
    "ENTRYPOINT [\"/shoal\", \"registry\", \"serve\"]",
    "EXPOSE 5000",
    "VOLUME /var/lib/registry",
    "ENV PATH=/",
];

/// Load an image of this registry into the daemon, to be run as a container.
#[derive(Debug, Args)]
pub(super) struct Image {
    /// Name of the image
    #[arg(default_value = "registry")]
    name: String,
}

impl Image {
    /// Makes the image and prints its id.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let program = File::open("/proc/self/exe").context("reading this program")?;
        let size = program.metadata().context("reading this program")?.len();
        let query =
            CHANGES.iter().fold(Query::new(), |query, change| query.with("changes", change));
        let query = query.with("message", "the registry of shoal");
        let id =
            import(shell, query, Some(&self.name), move |out| write(out, program, size)).await?;
        Ok(print::line(id)?)
    }
}

fn write(out: &mut dyn Write, program: File, size: u64) -> io::Result<()> {
    let mut archive = Builder::new(out);
    for directory in ["tmp/", "var/", "var/lib/", "var/lib/registry/", "etc/"] {
        let mut header = header(0o755, 0);
        header.set_entry_type(EntryType::Directory);
        archive.append_data(&mut header, directory, io::empty())?;
    }
    archive.append_data(&mut header(0o755, size), "shoal", program)?;
    archive.finish()
}

fn header(mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}
