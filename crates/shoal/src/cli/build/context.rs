//! The build context: a directory as a tar, without what `.dockerignore`
//! names.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use shoal_build::ignore::Ignore;
use tar::{Builder, EntryType, Header};

/// What a Dockerfile from elsewhere is called in the archive: always the same,
/// so that the same build sends the same archive.
const FOREIGN: &str = ".dockerfile.from-elsewhere";

/// What comes after a Dockerfile's name in the name of its own list of ignored
/// files; it goes before the context's, here and at the daemon.
const OWN_LIST: &str = ".dockerignore";

/// A directory to be sent.
#[derive(Debug)]
pub(super) struct Context {
    root: PathBuf,
    ignore: Ignore,
    dockerfile: String,
    /// Files from elsewhere: their names in the archive, and their content.
    foreign: Vec<(String, Vec<u8>)>,
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
        let (ignore, list) = read_ignore(&root, &file)?;
        let (dockerfile, foreign) = match file.strip_prefix(&root) {
            Ok(inside) => (inside.to_string_lossy().into_owned(), Vec::new()),
            Err(_) => (FOREIGN.to_owned(), bring(&file, list)?),
        };
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
        for (name, bytes) in &self.foreign {
            let mut header = Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes.as_slice())?;
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

    /// The Dockerfile and the lists are always sent: the daemon needs them.
    fn is_left_out(&self, path: &Path) -> bool {
        let own = format!("{}{OWN_LIST}", self.dockerfile);
        let needed = [self.dockerfile.as_str(), &own, ".dockerignore"];
        !needed.iter().any(|name| path == Path::new(name)) && self.ignore.matches(path)
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

/// A Dockerfile from elsewhere and a list of its own, which hides the two from
/// COPY: they are no part of the context.
fn bring(file: &Path, mut list: Vec<u8>) -> Result<Vec<(String, Vec<u8>)>> {
    let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let own = format!("{FOREIGN}{OWN_LIST}");
    list.extend(format!("\n{FOREIGN}\n{own}\n").into_bytes());
    Ok(vec![(FOREIGN.to_owned(), bytes), (own, list)])
}

/// The Dockerfile's own list goes before the context's.
fn read_ignore(root: &Path, dockerfile: &Path) -> Result<(Ignore, Vec<u8>)> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(OWN_LIST);
    for path in [PathBuf::from(own), root.join(".dockerignore")] {
        match fs::read(&path) {
            Ok(bytes) => {
                let ignore = Ignore::parse(&bytes)
                    .map_err(|error| anyhow::anyhow!("reading {}: {error}", path.display()))?;
                return Ok((ignore, bytes));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }
    Ok((Ignore::default(), Vec::new()))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(context: Context) -> Vec<(String, String)> {
        let mut bytes = Vec::new();
        context.write(&mut bytes).expect("an archive");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().expect("entries");
        let read = |entry: io::Result<tar::Entry<&[u8]>>| {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").display().to_string();
            (path, io::read_to_string(&mut entry).expect("its content"))
        };
        entries.map(read).collect()
    }

    fn names(context: Context) -> Vec<String> {
        files(context).into_iter().map(|(name, _)| name).collect()
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
    fn a_dockerfiles_own_list_is_sent() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        for (name, text) in [
            ("D", "FROM scratch"),
            ("D.dockerignore", "*\n!a\n"),
            (".dockerignore", "a\n"),
            ("a", ""),
            ("b", ""),
        ] {
            fs::write(root.join(name), text).expect("a file");
        }
        let context = Context::find(root, Some(&root.join("D"))).expect("a context");
        assert_eq!(names(context), [".dockerignore", "D", "D.dockerignore", "a"]);
    }

    #[test]
    fn a_dockerfile_from_elsewhere_comes_along_and_hides() {
        let (root, other) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
        let file = other.path().join("D");
        fs::write(&file, "FROM scratch").expect("a file");
        fs::write(root.path().join("a"), "").expect("a file");
        fs::write(root.path().join("b"), "").expect("a file");
        fs::write(root.path().join(".dockerignore"), "b").expect("a file");
        let find = || Context::find(root.path(), Some(&file)).expect("a context");
        let name = find().dockerfile().to_owned();
        let list = format!("{name}.dockerignore");
        let sent = files(find());
        let names: Vec<_> = sent.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [".dockerignore", "a", &name, &list]);
        assert_eq!(sent[2].1, "FROM scratch");
        let at_the_daemon = Ignore::parse(sent[3].1.as_bytes()).expect("a list");
        let hidden = |name: &str| at_the_daemon.matches(Path::new(name));
        assert!(hidden(&name) && hidden(&list) && hidden("b") && !hidden("a"));
        assert_eq!(files(find()), sent, "the same again");

        fs::write(other.path().join("D.dockerignore"), "a").expect("its own list");
        let sent = files(find());
        assert!(
            sent.iter().any(|(name, _)| name == "b") && sent.iter().all(|(name, _)| name != "a")
        );
        assert!(Context::find(root.path(), None).is_err());
    }
}
