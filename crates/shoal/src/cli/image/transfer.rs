//! `shoal save`, `load` and `import`.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use futures_util::StreamExt;
use http::Method;
use serde_json::Value;
use shoal_model::Reference;

use super::super::shell::Shell;
use crate::client::{Query, copy, documents, empty, pieces, stream_body};
use crate::print::words::text;
use crate::print::{self, Progress};

/// Write images to an archive.
#[derive(Debug, Args)]
pub(in crate::cli) struct Save {
    /// The file, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The images
    #[arg(required = true)]
    images: Vec<String>,
}

impl Save {
    /// Writes them.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        if self.output.is_none() && io::stdout().is_terminal() {
            bail!("cowardly refusing to save to a terminal; use the -o flag or redirect");
        }
        let query = self.images.iter().fold(Query::new(), |query, name| query.with("names", name));
        let response = shell.client.send(Method::GET, "/images/get", &query, empty(), &[]).await?;
        let mut pieces = pieces(response);
        let Some(path) = &self.output else {
            while let Some(piece) = pieces.next().await {
                print::bytes(&piece?)?;
            }
            return Ok(());
        };
        // Written beside itself: an archive that was cut short has no name.
        let part = path.with_extension("part");
        let write = async {
            let mut file = File::create(&part)?;
            while let Some(piece) = pieces.next().await {
                file.write_all(&piece?)?;
            }
            Ok::<_, anyhow::Error>(std::fs::rename(&part, path)?)
        };
        let written = write.await;
        if written.is_err() {
            let _ = std::fs::remove_file(&part);
        }
        written.with_context(|| format!("writing {}", path.display()))
    }
}

/// Read images from an archive.
#[derive(Debug, Args)]
pub(in crate::cli) struct Load {
    /// The file, instead of standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Say less
    #[arg(short, long)]
    quiet: bool,
}

impl Load {
    /// Reads them.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        if self.input.is_none() && io::stdin().is_terminal() {
            bail!("requested load from stdin, but stdin is empty");
        }
        let reader = open(self.input.as_ref())?;
        let query = Query::new().with_flag("quiet", self.quiet);
        let headers = [("content-type", "application/x-tar")];
        let body = stream_body(move |out| copy(reader, out));
        let response =
            shell.client.send(Method::POST, "/images/load", &query, body, &headers).await?;
        Progress::new(false).follow(documents(response), |_| ()).await
    }
}

/// Make an image of the tar of a root file system.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal import rootfs.tar me/base:1
  shoal import --change 'ENTRYPOINT [\"/app\"]' --change 'EXPOSE 80' rootfs.tar me/app
  tar -C rootfs -c . | shoal import - me/base")]
pub(in crate::cli) struct Import {
    /// Dockerfile instruction to apply: CMD, ENTRYPOINT, ENV, EXPOSE, …
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Remark in the image's history
    #[arg(short, long)]
    message: Option<String>,
    /// Platform of the image
    #[arg(long)]
    platform: Option<String>,
    /// The file, or - for standard input
    file: PathBuf,
    /// Name of the image
    name: Option<String>,
}

impl Import {
    /// Makes it.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        let stdin = self.file.as_os_str() == "-";
        let reader = open(Some(&self.file).filter(|_| !stdin))?;
        let query =
            self.change.iter().fold(Query::new(), |query, text| query.with("changes", text));
        let query = query
            .with_some("message", self.message.as_ref())
            .with_some("platform", self.platform.as_ref());
        let id = import(shell, query, self.name.as_deref(), move |out| copy(reader, out)).await?;
        Ok(print::line(id)?)
    }
}

/// Makes an image of a tar that is written as it is sent; gives its id.
///
/// # Errors
/// The daemon's refusals.
pub(in crate::cli) async fn import(
    shell: &Shell,
    query: Query,
    name: Option<&str>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Result<String> {
    let mut query = query.with("fromSrc", "-");
    if let Some(name) = name {
        let name = Reference::parse(name)?;
        query =
            query.with("repo", name.familiar_name()).with("tag", name.tag().unwrap_or("latest"));
    }
    let headers = [("content-type", "application/x-tar")];
    let body = stream_body(write);
    let response =
        shell.client.send(Method::POST, "/images/create", &query, body, &headers).await?;
    let mut id = String::new();
    let last = |line: &Value| id = text(line, "status").to_owned();
    Progress::new(true).follow(documents(response), last).await?;
    Ok(id)
}

fn open(path: Option<&PathBuf>) -> Result<Box<dyn Read + Send>> {
    match path {
        None => Ok(Box::new(io::stdin())),
        Some(path) => {
            let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
            Ok(Box::new(file))
        }
    }
}
