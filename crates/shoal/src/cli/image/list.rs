//! `shoal images` and `shoal history`.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use shoal_model::units::human_size;

use super::super::shell::Shell;
use super::super::verbs::{Image, ListFlags, row, rows};
use crate::client::{Query, segment};
use crate::clock::now;
use crate::print::words::{ago, created_at, ellipsis, items, short, text};
use crate::print::{Listing, Row, column};

/// The width of a command in the history.
const COMMAND_WIDTH: usize = 45;

/// List images.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Also those only others are built upon
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    #[command(flatten)]
    shown: ListFlags<Image>,
    /// Do not cut ids
    #[arg(long)]
    no_trunc: bool,
    /// Only those with this name
    repository: Option<String>,
}

impl List {
    /// Lists them.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        let mut filters = self.shown.filters()?;
        if let Some(repository) = &self.repository {
            filters = filters.with("reference", repository);
        }
        let query = Query::new().with_flag("all", self.all).with_filters(&filters);
        let images = shell.client.get("/images/json", &query).await?;
        let mut rows: Vec<Row> = items(&images).flat_map(|image| self.rows(image)).collect();
        if self.shown.quiet {
            rows.dedup_by(|one, other| one["ID"] == other["ID"]);
        }
        let mut columns = vec![column("Repository", "REPOSITORY"), column("Tag", "TAG")];
        if self.digests {
            columns.push(column("Digest", "DIGEST"));
        }
        columns.extend([
            column("ID", "IMAGE ID"),
            column("CreatedSince", "CREATED"),
            column("Size", "SIZE"),
        ]);
        self.shown.print(columns, rows, "ID")
    }

    /// One row for each name; one without for an image that has none.
    fn rows(&self, image: &Value) -> Vec<Row> {
        let names = |key: &str| -> Vec<String> {
            items(&image[key])
                .filter_map(Value::as_str)
                .filter(|name| !name.starts_with("<none>"))
                .map(str::to_owned)
                .collect()
        };
        let digests = names("RepoDigests");
        let tags = names("RepoTags");
        if tags.is_empty() {
            let digest = digests.first().and_then(|name| name.split_once('@'));
            let (repository, digest) = digest.unwrap_or(("<none>", "<none>"));
            return vec![self.row(image, repository, "<none>", digest)];
        }
        let row = |name: &String| {
            let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "<none>"));
            let digest = digests
                .iter()
                .find_map(|digest| digest.strip_prefix(repository)?.strip_prefix('@'));
            self.row(image, repository, tag, digest.unwrap_or("<none>"))
        };
        tags.iter().map(row).collect()
    }

    fn row(&self, image: &Value, repository: &str, tag: &str, digest: &str) -> Row {
        let id = text(image, "Id");
        row(json!({
            "Repository": repository,
            "Tag": tag,
            "Digest": digest,
            "ID": if self.no_trunc { id.to_owned() } else { short(id) },
            "CreatedSince": ago(&image["Created"], now()),
            "CreatedAt": created_at(&image["Created"]),
            "Size": human_size(image["Size"].as_u64().unwrap_or_default()),
            "Containers": image["Containers"],
        }))
    }
}

/// Show how an image came about.
#[derive(Debug, Args)]
pub(in crate::cli) struct History {
    /// json, table TEMPLATE, or a template
    #[arg(long)]
    format: Option<String>,
    /// Do not cut anything
    #[arg(long)]
    no_trunc: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// The image
    image: String,
}

impl History {
    /// Shows it.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        let path = format!("/images/{}/history", segment(&self.image));
        let steps = shell.client.get(&path, &Query::new()).await?;
        let rows = rows(&steps, |step| {
            let (id, command) = (text(step, "Id"), text(step, "CreatedBy").replace('\t', " "));
            json!({
                "ID": if self.no_trunc || !id.starts_with("sha256:") { id.to_owned() } else { short(id) },
                "CreatedSince": ago(&step["Created"], now()),
                "CreatedAt": step["Created"],
                "CreatedBy": if self.no_trunc { command } else { ellipsis(&command, COMMAND_WIDTH) },
                "Size": human_size(step["Size"].as_u64().unwrap_or_default()),
                "Comment": text(step, "Comment"),
            })
        });
        let columns = vec![
            column("ID", "IMAGE"),
            column("CreatedSince", "CREATED"),
            column("CreatedBy", "CREATED BY"),
            column("Size", "SIZE"),
            column("Comment", "COMMENT"),
        ];
        Listing { columns, rows, key: "ID" }.print(self.format.as_deref(), self.quiet)
    }
}
