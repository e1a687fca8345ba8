//! What a test run must not leave on the machine: this looks before and after.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use crate::run;

/// What a look at the machine found, a line each.
pub(crate) struct Machine {
    found: BTreeSet<String>,
}

impl Machine {
    /// Looks at mounts, links, nft tables, named namespaces, cgroups,
    /// temporary files and processes of ours.
    pub(crate) fn look() -> Result<Self> {
        let mut found = BTreeSet::new();
        for line in fs::read_to_string("/proc/self/mountinfo")?.lines() {
            let mut words = line.split(' ');
            found.extend(words.nth(4).map(|place| format!("mount {place}")));
        }
        for entry in fs::read_dir("/sys/class/net")? {
            found.insert(format!("link {}", entry?.file_name().to_string_lossy()));
        }
        for entry in fs::read_dir("/run/netns").into_iter().flatten() {
            found.insert(format!("namespace {}", entry?.file_name().to_string_lossy()));
        }
        for table in run::command("nft").args(["list", "tables"]).output()?.lines() {
            found.insert(format!("nft {table}"));
        }
        for entry in fs::read_dir(std::env::temp_dir())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // The second is what `tempfile` names a folder that nobody named.
            if name.contains("shoal") || name.starts_with(".tmp") {
                found.insert(format!("file {}", std::env::temp_dir().join(name).display()));
            }
        }
        for place in ["/var/lib/shoal", "/run/shoal"] {
            if Path::new(place).exists() {
                found.insert(format!("file {place}"));
            }
        }
        cgroups(Path::new("/sys/fs/cgroup"), 4, &mut found);
        found.extend(processes());
        Ok(Self { found })
    }

    /// Fails, naming each thing, when `after` has what `self` had not.
    pub(crate) fn compare(&self, after: &Self) -> Result<()> {
        let left: Vec<_> = after.found.difference(&self.found).cloned().collect();
        if left.is_empty() {
            println!("nothing was left behind");
            return Ok(());
        }
        bail!("left behind:\n  {}", left.join("\n  "));
    }
}

/// Cgroups with our name, down to `depth` levels.
fn cgroups(dir: &Path, depth: u32, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().contains("shoal")) {
            found.insert(format!("cgroup {}", path.display()));
        }
        if depth > 0 {
            cgroups(&path, depth - 1, found);
        }
    }
}

/// Processes of ours, by the name of their program.
fn processes() -> Vec<String> {
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    ids.filter_map(|entry| {
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        let name = name.trim();
        let program: PathBuf = fs::read_link(entry.path().join("exe")).ok()?;
        let ours = name.starts_with("shoal") || program.to_string_lossy().contains("shoal-shim");
        ours.then(|| format!("process {} {name}", entry.file_name().to_string_lossy()))
    })
    .collect()
}
