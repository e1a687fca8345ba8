//! `shoal system prune`.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use super::super::image::removal_steps;
use super::super::shell::Shell;
use super::super::verbs::{Container, Image, Network, Object, Volume, confirm, reclaimed, removed};
use crate::client::{Filters, Query};

/// Remove containers that do not run, and networks, images and build cache nobody uses.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal system prune                                stopped containers, unused networks, old images and build cache
  shoal system prune -a --volumes -f                whatever nothing uses, without a question")]
pub(in crate::cli) struct Prune {
    /// Also images with names, and not only those no name leads to
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Also volumes without names
    #[arg(long)]
    volumes: bool,
    /// Only those that match: until=10m, label=…
    #[arg(long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
}

/// One kind of what is removed.
struct Step {
    /// As the question lists it.
    what: &'static str,
    folder: &'static str,
    title: &'static str,
    /// Where the answer lists what is gone.
    key: &'static str,
    query: Query,
}

impl Prune {
    /// Removes them: containers first, which use the others.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let steps = self.steps()?;
        if !self.force && !confirm(&question(&steps))? {
            return Ok(());
        }
        let mut bytes = 0;
        for step in &steps {
            let answer = shell.client.act(&format!("{}/prune", step.folder), &step.query).await?;
            let gone = match step.folder {
                folder if folder == Image::KIND.folder => json!(removal_steps(&answer[step.key])),
                _ => answer[step.key].clone(),
            };
            removed(step.title, &gone)?;
            bytes += answer["SpaceReclaimed"].as_u64().unwrap_or_default();
        }
        reclaimed(bytes)
    }

    fn steps(&self) -> Result<Vec<Step>> {
        let filters = Filters::parse(&self.filter)?;
        if self.volumes && self.filter.iter().any(|filter| filter.starts_with("until=")) {
            bail!("the \"until\" filter is not supported with \"--volumes\"");
        }
        let (images, dangling, cache) = if self.all {
            (
                "all images without at least one container associated to them",
                "false",
                "all build cache",
            )
        } else {
            ("all dangling images", "true", "unused build cache")
        };
        let query = Query::new().with_filters(&filters);
        let step =
            |what, folder, title, key| Step { what, folder, title, key, query: query.clone() };
        let mut steps = vec![
            step(
                "all stopped containers",
                Container::KIND.folder,
                "Deleted Containers:",
                "ContainersDeleted",
            ),
            step(
                "all networks not used by at least one container",
                Network::KIND.folder,
                "Deleted Networks:",
                "NetworksDeleted",
            ),
        ];
        if self.volumes {
            steps.push(step(
                "all anonymous volumes not used by at least one container",
                Volume::KIND.folder,
                "Deleted Volumes:",
                "VolumesDeleted",
            ));
        }
        let of_images = Query::new().with_filters(&filters.clone().with("dangling", dangling));
        let images = step(images, Image::KIND.folder, "Deleted Images:", "ImagesDeleted");
        steps.push(Step { query: of_images, ..images });
        let cache = step(cache, "/build", "Deleted build cache objects:", "CachesDeleted");
        steps.push(Step { query: query.clone().with_flag("all", self.all), ..cache });
        Ok(steps)
    }
}

fn question(steps: &[Step]) -> String {
    let lines: Vec<_> = steps.iter().map(|step| format!("\n  - {}", step.what)).collect();
    format!("This will remove:{}\n", lines.concat())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        prune: Prune,
    }

    fn steps(words: &[&str]) -> Result<Vec<Step>> {
        Line::try_parse_from(words).expect("flags").prune.steps()
    }

    #[test]
    fn the_question_says_what_goes() {
        let few = question(&steps(&["prune"]).expect("steps"));
        assert_eq!(
            few,
            "This will remove:\n  - all stopped containers\n  - all networks not used by at least \
             one container\n  - all dangling images\n  - unused build cache\n"
        );
        let all = steps(&["prune", "-a", "--volumes", "--filter", "label=a"]).expect("steps");
        let query = all[3].query.to_string();
        assert!(query.contains("dangling") && query.contains("false"), "{query}");
        assert!(query.contains("label"), "{query}");
        assert!(all[4].query.to_string().starts_with("?filters=") && all[4].folder == "/build");
        assert!(all[4].query.to_string().ends_with("&all=1"));
        assert!(question(&all).contains("anonymous volumes"));
        assert!(steps(&["prune", "--volumes", "--filter", "until=1h"]).is_err());
    }
}
