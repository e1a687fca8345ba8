//! Progress of pulls, pushes and builds, from the daemon's JSON lines.
//!
//! On a terminal each layer has a bar; elsewhere each change of status is a
//! line, as docker prints it.

use std::collections::HashMap;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::{Stream, StreamExt};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::words::text;

/// Shows one stream of progress documents.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    layers: HashMap<String, ProgressBar>,
    said: HashMap<String, String>,
    quiet: bool,
}

impl Progress {
    /// A display; a quiet one shows nothing but still finds errors.
    pub(crate) fn new(quiet: bool) -> Self {
        let bars = (!quiet && stderr().is_terminal()).then(MultiProgress::new);
        Self { bars, layers: HashMap::new(), said: HashMap::new(), quiet }
    }

    /// Shows a stream to its end; `see` looks at each document before it is
    /// shown.
    ///
    /// # Errors
    /// A broken stream, an error one of its documents reports, and nobody
    /// reading any more.
    pub(crate) async fn follow(
        mut self,
        mut documents: impl Stream<Item = Result<Value>> + Unpin,
        mut see: impl FnMut(&Value),
    ) -> Result<()> {
        while let Some(document) = documents.next().await {
            let document = document?;
            see(&document);
            self.take(&document)?;
        }
        Ok(())
    }

    /// Takes one document in.
    ///
    /// # Errors
    /// When the document reports one, or nobody reads any more.
    fn take(&mut self, document: &Value) -> Result<()> {
        if let Some(error) = error_of(document) {
            bail!("{error}");
        }
        if let Some(stream) = document.get("stream").and_then(Value::as_str) {
            return if self.quiet { Ok(()) } else { Ok(super::bytes(stream.as_bytes())?) };
        }
        let (id, status) = (text(document, "id"), text(document, "status"));
        if self.quiet || status.is_empty() {
            return Ok(());
        }
        match (&self.bars, document.get("progressDetail").filter(|_| !id.is_empty())) {
            (Some(bars), Some(detail)) => {
                let bars = bars.clone();
                self.bar(&bars, id, status, detail);
                Ok(())
            }
            _ => self.say(id, status),
        }
    }

    fn bar(&mut self, bars: &MultiProgress, id: &str, status: &str, detail: &Value) {
        let bar = self.layers.entry(id.to_owned()).or_insert_with(|| {
            let bar =
                bars.add(ProgressBar::new(0).with_style(waiting()).with_prefix(id.to_owned()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.set_message(status.to_owned());
        let number = |key: &str| detail.get(key).and_then(Value::as_u64);
        match (number("current"), number("total").filter(|total| *total > 0)) {
            (Some(current), Some(total)) => {
                bar.set_style(moving());
                bar.set_length(total);
                bar.set_position(current);
            }
            _ if is_final(status) => {
                bar.set_style(waiting());
                bar.finish();
            }
            _ => {}
        }
    }

    fn say(&mut self, id: &str, status: &str) -> Result<()> {
        let before = self.said.insert(id.to_owned(), status.to_owned());
        if !id.is_empty() && before.as_deref() == Some(status) {
            return Ok(());
        }
        let line = if id.is_empty() { status.to_owned() } else { format!("{id}: {status}") };
        match &self.bars {
            Some(bars) => Ok(bars.println(line)?),
            None => Ok(super::line(line)?),
        }
    }
}

/// The error a progress document reports.
fn error_of(document: &Value) -> Option<&str> {
    let detail = document.get("errorDetail").and_then(|detail| detail.get("message"));
    detail.or_else(|| document.get("error")).and_then(Value::as_str)
}

fn is_final(status: &str) -> bool {
    matches!(status, "Pull complete" | "Already exists" | "Pushed" | "Layer already exists")
        || status.starts_with("Mounted from")
}

fn waiting() -> ProgressStyle {
    style("{prefix:12} {spinner} {msg}")
}

fn moving() -> ProgressStyle {
    style("{prefix:12} {spinner} {msg:18} [{bar:30}] {bytes}/{total_bytes}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
