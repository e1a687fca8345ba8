//! `shoal logs`, and the printing of log streams services share.

use anyhow::Result;
use clap::Args;
use futures_util::StreamExt;
use http::Method;
use shoal_model::{Timestamp, units};

use super::super::shell::Shell;
use crate::client::{Frame, FrameReader, Query, Source, empty, pieces, segment};
use crate::clock::now;
use crate::print;

/// Show what containers wrote.
#[derive(Debug, Args)]
pub(in crate::cli) struct Logs {
    #[command(flatten)]
    choice: Choice,
    /// Only lines before: a time, or 10m
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The container
    container: String,
}

/// Which lines, and how.
#[derive(Debug, Args)]
pub(in crate::cli) struct Choice {
    /// Go on with new lines
    #[arg(short, long)]
    pub(in crate::cli) follow: bool,
    /// How many lines before the end to begin with
    #[arg(short = 'n', long, default_value = "all", value_name = "NUMBER")]
    pub(in crate::cli) tail: String,
    /// Only lines since: a time, or 10m
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) since: Option<String>,
    /// Show when each line was written
    #[arg(short, long)]
    pub(in crate::cli) timestamps: bool,
}

impl Choice {
    /// The parameters of a log request.
    pub(in crate::cli) fn query(&self) -> Query {
        Query::new()
            .with("stdout", 1)
            .with("stderr", 1)
            .with_flag("follow", self.follow)
            .with("tail", &self.tail)
            .with_some("since", self.since.as_deref().map(moment))
            .with_flag("timestamps", self.timestamps)
    }
}

impl Logs {
    /// Shows them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let path = format!("/containers/{}", segment(&self.container));
        let view = shell.client.get(&format!("{path}/json"), &Query::new()).await?;
        let query = self.choice.query().with_some("until", self.until.as_deref().map(moment));
        let tty = view["Config"]["Tty"] == true;
        read(shell, &format!("{path}/logs"), &query, tty, |frame| match frame.source {
            Source::Stdout => Ok(print::bytes(&frame.data)?),
            Source::Stderr => Ok(print::error_bytes(&frame.data)?),
        })
        .await
    }
}

/// A time for the API: a duration is one before now, all else goes as it is.
pub(in crate::cli) fn moment(text: &str) -> String {
    match units::parse_go_duration(text) {
        Ok(duration) => {
            let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
            Timestamp::from_nanos(now().nanos().saturating_sub(nanos)).rfc3339_nano()
        }
        Err(_) => text.to_owned(),
    }
}

/// Reads a log stream to its end.
///
/// # Errors
/// The daemon's refusal, a broken stream, and `show`'s own.
pub(in crate::cli) async fn read(
    shell: &Shell,
    path: &str,
    query: &Query,
    tty: bool,
    mut show: impl FnMut(Frame) -> Result<()>,
) -> Result<()> {
    let response = shell.client.send(Method::GET, path, query, empty(), &[]).await?;
    let mut pieces = pieces(response);
    let mut frames = FrameReader::new(tty);
    while let Some(piece) = pieces.next().await {
        frames.feed(&piece?);
        while let Some(frame) = frames.next()? {
            show(frame)?;
        }
    }
    Ok(())
}
