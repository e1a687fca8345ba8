//! Coverage-guided fuzzing: each target of `fuzz/` for a while.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::{packages, run};

/// Where the targets are, from the root of the workspace.
const TARGETS: &str = "fuzz/fuzz_targets";
/// Inputs worth starting from, by target.
const SEEDS: &[(&str, &str)] = &[("dockerfile", "crates/build/tests/corpus")];

/// Runs `target`, or every one, for `seconds` each; fails at the first input a
/// reader does not survive. What was learnt stays in `fuzz/corpus`.
pub(crate) fn run(target: Option<&str>, seconds: u64) -> Result<()> {
    packages::ensure(packages::FUZZ)?;
    let all = targets()?;
    let chosen: Vec<_> = all.iter().filter(|name| target.is_none_or(|t| t == *name)).collect();
    if chosen.is_empty() {
        bail!("no fuzz target {}; there are {}", target.unwrap_or_default(), all.join(", "));
    }
    if run::cargo(["fuzz", "--version"]).output().is_err() {
        run::cargo(["install", "--locked", "cargo-fuzz"]).run()?;
    }
    for name in chosen {
        let corpus = PathBuf::from("fuzz/corpus").join(name);
        std::fs::create_dir_all(run::workspace().join(&corpus))
            .with_context(|| format!("cannot create {}", corpus.display()))?;
        let seeds = SEEDS.iter().filter(|(of, _)| of == name).map(|(_, place)| place);
        run::cargo(["fuzz", "run", name])
            .arg(corpus)
            .args(seeds)
            .arg("--")
            .args([format!("-max_total_time={seconds}"), "-timeout=10".into()])
            // The sanitizer is a flag a stable compiler has and does not let us use.
            .env("RUSTC_BOOTSTRAP", "1")
            .run()?;
    }
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let place = run::workspace().join(TARGETS);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&place).with_context(|| format!("cannot read {TARGETS}"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
