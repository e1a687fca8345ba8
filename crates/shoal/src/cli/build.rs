//! `shoal build`.

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use super::container::labels;
use super::shell::Shell;
use crate::client::{DockerConfig, Query, copy, documents, stream_body};
use crate::print::Progress;

mod context;

/// Build an image from a Dockerfile.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal build -t me/app:1.0 .
  shoal build -f docker/Dockerfile --target test --build-arg V=3 .
  tar -c . | shoal build -t me/app -                the context from standard input")]
pub(super) struct Build {
    /// Name of the image
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// The Dockerfile [default: PATH/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Value of an ARG, or pass our variable on
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Set a label
    #[arg(long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,
    /// Stage to build
    #[arg(long)]
    target: Option<String>,
    /// Platform to build for
    #[arg(long, env = "DOCKER_DEFAULT_PLATFORM")]
    platform: Option<String>,
    /// Run every step again
    #[arg(long)]
    no_cache: bool,
    /// An image whose steps need not run again, if it is here
    #[arg(long, value_name = "IMAGE")]
    cache_from: Vec<String>,
    /// Ask the registries for newer base images
    #[arg(long)]
    pull: bool,
    /// Network of RUN: default, host, none
    #[arg(long, default_value = "default")]
    network: String,
    /// A further line of /etc/hosts for RUN
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<String>,
    /// Print the image's id only
    #[arg(short, long)]
    quiet: bool,
    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Directory with the context, or - for a tar on standard input
    path: PathBuf,
}

impl Build {
    /// Builds it.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let stdin = self.path.as_os_str() == "-";
        let (dockerfile, body) = if stdin {
            let name = self
                .file
                .as_ref()
                .map_or("Dockerfile".to_owned(), |file| file.display().to_string());
            (name, stream_body(|out| copy(io::stdin(), out)))
        } else {
            let context = context::Context::find(&self.path, self.file.as_deref())?;
            (context.dockerfile().to_owned(), stream_body(move |out| context.write(out)))
        };
        let query = self.query(&dockerfile)?;
        let registries = URL_SAFE.encode(DockerConfig::load()?.all()?.to_string());
        let headers =
            [("content-type", "application/x-tar"), ("x-registry-config", registries.as_str())];
        let response = shell.client.send(Method::POST, "/build", &query, body, &headers).await?;
        let mut id = None;
        let see = |line: &Value| {
            id = line["aux"]["ID"].as_str().map(str::to_owned).or(id.take());
            if self.quiet && id.is_none() {
                id = line["stream"].as_str().map(|text| text.trim().to_owned());
            }
        };
        Progress::new(false).follow(documents(response), see).await?;
        self.keep_id(id)
    }

    fn keep_id(&self, id: Option<String>) -> Result<()> {
        let Some(id) = id else { bail!("the build ended without an image") };
        match &self.iidfile {
            Some(path) => {
                fs::write(path, id).with_context(|| format!("writing {}", path.display()))
            }
            None => Ok(()),
        }
    }

    fn query(&self, dockerfile: &str) -> Result<Query> {
        let query = self
            .tag
            .iter()
            .fold(Query::new().with("version", 1), |query, tag| query.with("t", tag));
        Ok(query
            .with("dockerfile", dockerfile)
            .with_some("cachefrom", (!self.cache_from.is_empty()).then(|| json!(self.cache_from)))
            .with("buildargs", Value::Object(self.build_args()))
            .with("labels", Value::Object(labels(&[], &self.label)?))
            .with_some("target", self.target.as_ref())
            .with_some("platform", self.platform.as_ref())
            .with_flag("nocache", self.no_cache)
            .with_flag("pull", self.pull)
            .with("networkmode", &self.network)
            .with_some(
                "extrahosts",
                Some(self.add_host.join(",")).filter(|hosts| !hosts.is_empty()),
            )
            .with_flag("q", self.quiet)
            .with("rm", 1))
    }

    /// A bare name passes our variable on; one we do not have stays unset.
    fn build_args(&self) -> Map<String, Value> {
        let pair = |text: &String| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), json!(value)),
            None => (text.clone(), std::env::var(text).map_or(Value::Null, Value::String)),
        };
        self.build_arg.iter().map(pair).collect()
    }
}
