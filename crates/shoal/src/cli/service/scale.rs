//! `shoal service scale`.

use anyhow::{Result, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use super::super::shell::Shell;
use super::super::verbs::each;
use super::create::send;
use super::progress;
use crate::client::{Query, segment};
use crate::print;
use crate::print::words::text;

/// Change how many tasks services have.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal service scale spider=500
  shoal service scale --detach web=3 worker=20")]
pub(in crate::cli) struct Scale {
    /// Do not wait until the services have converged
    #[arg(short, long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    detach: bool,
    /// Services and their numbers
    #[arg(required = true, value_name = "SERVICE=NUMBER")]
    services: Vec<String>,
}

impl Scale {
    /// Scales them, and waits until they have converged.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        each(&self.services, async |text| scale(shell, text).await).await?;
        if self.detach {
            return Ok(());
        }
        for text in &self.services {
            let name = text.split('=').next().unwrap_or_default();
            let service =
                shell.client.get(&format!("/services/{}", segment(name)), &Query::new()).await?;
            progress::converge(shell, id(&service), false).await?;
        }
        Ok(())
    }
}

fn id(service: &Value) -> &str {
    text(service, "ID")
}

async fn scale(shell: &Shell, text: &str) -> Result<String> {
    let (name, number) = text
        .split_once('=')
        .ok_or_else(|| anyhow!("invalid scale specifier '{text}', expected SERVICE=NUMBER"))?;
    let replicas: u64 =
        number.parse().map_err(|_| anyhow!("{name}: invalid replicas value {number}"))?;
    // Another change may come between; then the newer spec is scaled.
    const ATTEMPTS: usize = 5;
    for attempt in 1.. {
        let service =
            shell.client.get(&format!("/services/{}", segment(name)), &Query::new()).await?;
        let mut spec = service["Spec"].clone();
        if spec["Mode"]["Replicated"].is_null() {
            bail!("{name}: scale can only be used with replicated mode");
        }
        spec["Mode"]["Replicated"]["Replicas"] = json!(replicas);
        let query = Query::new().with("version", &service["Version"]["Index"]);
        let path = format!("/services/{}/update", id(&service));
        match send(shell, &path, query, &spec, None).await {
            Err(error)
                if attempt < ATTEMPTS && format!("{error:#}").contains("out of sequence") => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    print::line(format_args!("{name} scaled to {replicas}"))?;
    Ok(String::new())
}
