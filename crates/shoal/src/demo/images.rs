//! The images the demo needs before it can build its own, made from what is
//! on this machine.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use super::{rootfs, stage::Stage};

/// The base the offline spider is built on.
pub(super) const BASE: &str = "crawler-base";
/// The registry.
pub(super) const REGISTRY: &str = "shoal/registry";
/// Redis.
pub(super) const REDIS: &str = "redis";

/// Makes the images of the offline form.
pub(super) fn import(stage: &Stage) -> Result<()> {
    load(stage, BASE, "/bin/busybox", &[])?;
    load(
        stage,
        REDIS,
        "/usr/bin/redis-server",
        &[
            r#"ENTRYPOINT ["/usr/bin/redis-server","--protected-mode","no","--save",""]"#,
            "WORKDIR /data",
            "EXPOSE 6379",
        ],
    )?;
    registry(stage)
}

/// Makes the registry's image: this very program, alone.
pub(super) fn registry(stage: &Stage) -> Result<()> {
    stage.shoal(&["registry", "image", REGISTRY]).map(drop)
}

fn load(stage: &Stage, name: &str, program: &str, changes: &[&str]) -> Result<()> {
    let tar = rootfs::of(Path::new(program))
        .with_context(|| format!("cannot make image {name} from {program}"))?;
    let dir = tempfile::tempdir().context("cannot make a temporary folder")?;
    let file = dir.path().join("rootfs.tar");
    fs::write(&file, tar).with_context(|| format!("cannot write {}", file.display()))?;
    let file = file.to_string_lossy();
    let mut args = vec!["import"];
    for change in changes {
        args.extend(["--change", change]);
    }
    args.extend([&file, name]);
    stage.shoal(&args).map(drop)
}

/// The crawler's build context: a folder with its Dockerfile.
pub(super) fn context(python: bool, examples: Option<&Path>) -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir().context("cannot make a temporary folder")?;
    let form = if python { "python" } else { "offline" };
    if let Some(examples) = examples {
        let from = examples.join(form);
        let status = Command::new("cp").arg("-rT").arg(&from).arg(dir.path()).status();
        ensure!(status.is_ok_and(|s| s.success()), "cannot copy {}", from.display());
        return Ok(dir);
    }
    let files: &[(&str, &str)] = if python { PYTHON } else { OFFLINE };
    for (name, contents) in files {
        fs::write(dir.path().join(name), contents)
            .with_context(|| format!("cannot write {name}"))?;
    }
    Ok(dir)
}

const PYTHON: &[(&str, &str)] = &[
    ("Dockerfile", include_str!("../../../../examples/crawler/python/Dockerfile")),
    ("spider.py", include_str!("../../../../examples/crawler/python/spider.py")),
];
const OFFLINE: &[(&str, &str)] = &[
    ("Dockerfile", include_str!("../../../../examples/crawler/offline/Dockerfile")),
    ("spider.sh", include_str!("../../../../examples/crawler/offline/spider.sh")),
];
