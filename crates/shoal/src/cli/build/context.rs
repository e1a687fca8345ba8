//! The build context: a directory as a tar, without what `.dockerignore`
//! names.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use shoal_build::ignore::Ignore;
use tar::{Builder, EntryType, Header};

/// A directory to be sent.
#[derive(Debug)]
pub(super) struct Context {
    root: PathBuf,
    ignore: Ignore,
    dockerfile: String,
    /// A Dockerfile from elsewhere, sent under a name of its own.
    foreign: Option<Vec<u8>>,
}

impl Context {
    /// Looks at a directory, its `.dockerignore` and its Dockerfile.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn find(path: &Path, dockerfile: Option<&Path>) -> Result<Self> {
        let root = fs::canonicalize(path).with_context(|| {
            format!("unable to prepare context: path {:?} not found", path.display())
        })?;
        if !root.is_dir() {
            bail!("unable to prepare context: {} is no directory", path.display());
        }
        let file = dockerfile.map_or_else(|| root.join("Dockerfile"), Path::to_owned);
        let file = fs::canonicalize(&file).with_context(|| {
            format!("unable to evaluate symlinks in Dockerfile path {}", file.display())
        })?;
        let (dockerfile, foreign) = match file.strip_prefix(&root) {
            Ok(inside) => (inside.to_string_lossy().into_owned(), None),
            Err(_) => {
                let bytes =
                    fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
                (format!(".dockerfile.{}", std::process::id()), Some(bytes))
            }
        };
        let ignore = read_ignore(&root, &dockerfile)?;
        Ok(Self { root, ignore, dockerfile, foreign })
    }

    /// The Dockerfile's name in the archive.
    pub(super) fn dockerfile(&self) -> &str {
        &self.dockerfile
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// A file that cannot be read, named; the connection's.
    pub(super) fn write(self, out: &mut dyn Write) -> io::Result<()> {
        let mut archive = Builder::new(out);
        self.add_directory(&mut archive, Path::new(""))?;
        if let Some(bytes) = &self.foreign {
            let mut header = Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, &self.dockerfile, bytes.as_slice())?;
        }
        archive.finish()
    }

    /// The files of a directory in the order of their names, so that the same
    /// directory is the same archive.
    fn add_directory(&self, archive: &mut Builder<&mut dyn Write>, below: &Path) -> io::Result<()> {
        let directory = self.root.join(below);
        let mut names = fs::read_dir(&directory)
            .and_then(|entries| {
                entries
                    .map(|entry| entry.map(|entry| entry.file_name()))
                    .collect::<io::Result<Vec<_>>>()
            })
            .map_err(|error| named(&directory, &error))?;
        names.sort();
        for name in names {
            let path = below.join(name);
            let full = self.root.join(&path);
            let facts = fs::symlink_metadata(&full).map_err(|error| named(&full, &error))?;
            let left_out = self.is_left_out(&path);
            if facts.is_dir() {
                if !left_out {
                    self.add(archive, &path, &facts)?;
                }
                // An exception may name something below what is left out.
                if !left_out || self.ignore.has_exceptions() {
                    self.add_directory(archive, &path)?;
                }
            } else if !left_out {
                self.add(archive, &path, &facts)?;
            }
        }
        Ok(())
    }

    /// The Dockerfile and `.dockerignore` are always sent: the daemon needs them.
    fn is_left_out(&self, path: &Path) -> bool {
        let needed = path == Path::new(&self.dockerfile) || path == Path::new(".dockerignore");
        !needed && self.ignore.matches(path)
    }

    fn add(
        &self,
        archive: &mut Builder<&mut dyn Write>,
        path: &Path,
        facts: &fs::Metadata,
    ) -> io::Result<()> {
        let full = self.root.join(path);
        let mut header = Header::new_gnu();
        header.set_metadata(facts);
        // Who owns the files here means nothing in the image.
        header.set_uid(0);
        header.set_gid(0);
        if facts.is_symlink() {
            let target = fs::read_link(&full).map_err(|error| named(&full, &error))?;
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            return archive.append_link(&mut header, path, target);
        }
        if facts.is_dir() {
            header.set_size(0);
            return archive.append_data(&mut header, path, io::empty());
        }
        if !facts.is_file() {
            // Sockets and the like have no content to send.
            return Ok(());
        }
        let file = fs::File::open(&full).map_err(|error| named(&full, &error))?;
        // A file that grows meanwhile must not break the archive.
        let content = io::Read::take(file, facts.len());
        archive.append_data(&mut header, path, content)
    }
}

/// The Dockerfile's own list goes before the context's.
fn read_ignore(root: &Path, dockerfile: &str) -> Result<Ignore> {
    for name in [format!("{dockerfile}.dockerignore"), ".dockerignore".to_owned()] {
        let path = root.join(name);
        match fs::read(&path) {
            Ok(bytes) => {
                return Ignore::parse(&bytes)
                    .map_err(|error| anyhow::anyhow!("reading {}: {error}", path.display()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }
    Ok(Ignore::default())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(context: Context) -> Vec<String> {
        let mut bytes = Vec::new();
        context.write(&mut bytes).expect("an archive");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().expect("entries");
        entries
            .map(|entry| entry.expect("an entry").path().expect("a path").display().to_string())
            .collect()
    }

    #[test]
    fn what_is_ignored_is_not_sent() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        fs::create_dir_all(root.join("target/deep")).expect("a directory");
        for (name, text) in [
            ("Dockerfile", "FROM scratch"),
            (".dockerignore", "target\n!target/keep\nDockerfile\n*.log\n"),
            ("a.log", ""),
            ("b", ""),
            ("target/keep", ""),
            ("target/deep/x", ""),
        ] {
            fs::write(root.join(name), text).expect("a file");
        }
        std::os::unix::fs::symlink("b", root.join("link")).expect("a link");
        let context = Context::find(root, None).expect("a context");
        assert_eq!(context.dockerfile(), "Dockerfile");
        assert_eq!(names(context), [".dockerignore", "Dockerfile", "b", "link", "target/keep"]);
    }

    #[test]
    fn a_dockerfile_from_elsewhere_comes_along() {
        let (root, other) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
        let file = other.path().join("D");
        fs::write(&file, "FROM scratch").expect("a file");
        let context = Context::find(root.path(), Some(&file)).expect("a context");
        let name = context.dockerfile().to_owned();
        assert_eq!(names(context), [name]);
        assert!(Context::find(root.path(), None).is_err());
    }
}
