//! Root file systems from the programs of this machine, as tars: a program
//! and, if it is dynamic, the libraries it loads.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// A tar with `program` and its libraries at the places they have here, and
/// the folders every container expects.
pub(super) fn of(program: &Path) -> Result<Vec<u8>> {
    let mut files = BTreeSet::from([program.to_owned()]);
    files.extend(libraries(program)?);
    let mut tar = tar::Builder::new(Vec::new());
    for (folder, mode) in [("tmp", 0o1777), ("etc", 0o755), ("data", 0o777), ("bin", 0o755)] {
        directory(&mut tar, folder, mode)?;
    }
    for file in files {
        add(&mut tar, &file)?;
    }
    tar.into_inner().context("cannot finish a tar in memory")
}

/// Adds a file under the path it has here; links are followed, so that the
/// name a program looks for is a file.
pub(super) fn add(tar: &mut tar::Builder<Vec<u8>>, file: &Path) -> Result<()> {
    let reading = || format!("cannot read {}", file.display());
    let contents = fs::read(file).with_context(reading)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(contents.len() as u64);
    header.set_mode(0o755);
    header.set_mtime(0);
    let name = file.strip_prefix("/").unwrap_or(file);
    tar.append_data(&mut header, name, contents.as_slice()).with_context(reading)
}

fn directory(tar: &mut tar::Builder<Vec<u8>>, name: &str, mode: u32) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(mode);
    header.set_mtime(0);
    tar.append_data(&mut header, format!("{name}/"), std::io::empty())
        .with_context(|| format!("cannot add folder {name}"))
}

/// What the dynamic loader would load, by `ldd(1)`; nothing for a static
/// program.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("cannot run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    if text.contains("not a dynamic executable") || text.contains("statically linked") {
        return Ok(Vec::new());
    }
    ensure!(output.status.success(), "ldd {}: {}", program.display(), text.trim());
    Ok(parse_ldd(&text))
}

fn parse_ldd(text: &str) -> Vec<PathBuf> {
    let path = |line: &str| {
        let file = line.split("=>").last()?.split_whitespace().next()?;
        file.starts_with('/').then(|| PathBuf::from(file))
    };
    text.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ldd_prints() {
        let text =
            "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\t/lib64/ld.so (0x3)\n";
        assert_eq!(
            parse_ldd(text),
            [PathBuf::from("/lib/libc.so.6"), PathBuf::from("/lib64/ld.so")]
        );
    }
}
