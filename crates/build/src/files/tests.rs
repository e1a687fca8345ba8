use std::{
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use super::*;
use crate::{context::Compression, testing::TarContext};

/// A context and a root file system, with a directory around them that nothing
/// may touch.
struct Place {
    outer: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir(outer.path().join("context")).unwrap();
        std::fs::create_dir(outer.path().join("root")).unwrap();
        Self { outer }
    }

    fn source(&self, path: &str, contents: &str) {
        let path = self.outer.path().join("context").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }

    fn context(&self, path: &str) -> PathBuf {
        self.outer.path().join("context").join(path)
    }

    fn root(&self, path: &str) -> PathBuf {
        self.outer.path().join("root").join(path)
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root(path)).unwrap()
    }

    fn run(&self, step: &CopyStep) -> Result<Vec<Found>, String> {
        let source = SourceTree {
            tree: Tree::open(&self.context("")).unwrap(),
            is_context: true,
            keep_alive: None,
        };
        let found = find(step, &source).map_err(|error| error.to_string())?;
        let root = Tree::open(&self.root("")).unwrap();
        copy(step, &source, &found, &root).map_err(|error| error.to_string())?;
        Ok(found)
    }

    fn copy(&self, sources: &[&str], destination: &str) -> Result<Vec<Found>, String> {
        self.run(&step("COPY", sources, destination))
    }

    /// All paths below the root, with `/` behind directories.
    fn tree(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let tree = Tree::open(&self.root("")).unwrap();
        crate::tree::walk(&tree, Path::new(""), &mut |entry| {
            let slash = if entry.kind() == rustix::fs::FileType::Directory { "/" } else { "" };
            paths.push(format!("{}{slash}", entry.path.display()));
            Ok(crate::tree::Walk::Enter)
        })
        .unwrap();
        paths
    }
}

fn step(instruction: &'static str, sources: &[&str], destination: &str) -> CopyStep {
    CopyStep {
        instruction,
        sources: sources.iter().map(|s| CopySource::Path((*s).to_owned())).collect(),
        destination: destination.to_owned(),
        written_destination: destination.to_owned(),
        from: None,
        chown: None,
        chmod: None,
        exclude: Vec::new(),
        unpack: instruction == "ADD",
    }
}

#[test]
fn a_file_goes_to_a_name_or_into_a_directory() {
    let place = Place::new();
    place.source("a", "1");
    std::fs::create_dir(place.root("there")).unwrap();
    place.copy(&["a"], "/name").unwrap();
    place.copy(&["a"], "/new/").unwrap();
    place.copy(&["/a"], "/there").unwrap();
    place.copy(&["./a"], "/deep/er/name").unwrap();
    assert_eq!(
        place.tree(),
        ["deep/", "deep/er/", "deep/er/name", "name", "new/", "new/a", "there/", "there/a"]
    );
    assert_eq!(place.root("deep").metadata().unwrap().mode() & 0o777, 0o755);
}

#[test]
fn a_directory_gives_its_contents_and_keeps_what_is_there() {
    let place = Place::new();
    place.source("d/a", "1");
    place.source("d/sub/b", "2");
    std::fs::create_dir_all(place.root("to/sub")).unwrap();
    std::fs::set_permissions(place.root("to"), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(place.root("to/sub/old"), "0").unwrap();
    place.copy(&["d"], "/to").unwrap();
    assert_eq!(place.tree(), ["to/", "to/a", "to/sub/", "to/sub/b", "to/sub/old"]);
    assert_eq!(place.root("to").metadata().unwrap().mode() & 0o777, 0o700, "it was there");
    std::fs::write(place.root("file"), "").unwrap();
    let error = place.copy(&["d"], "/file").unwrap_err();
    assert!(error.starts_with("COPY failed: "), "{error}");
    assert!(error.ends_with("cannot copy to non-directory: /file"), "{error}");
}

#[test]
fn directories_below_the_target_become_as_asked_for() {
    let place = Place::new();
    place.source("d/sub/deep/b", "2");
    std::fs::set_permissions(place.context("d/sub"), std::fs::Permissions::from_mode(0o750))
        .unwrap();
    std::fs::create_dir_all(place.root("to/sub/deep")).unwrap();
    place.copy(&["d"], "/to").unwrap();
    let modes = || {
        ["to", "to/sub", "to/sub/deep"]
            .map(|path| place.root(path).metadata().unwrap().mode() & 0o777)
    };
    assert_eq!(modes(), [0o755, 0o750, 0o755]);
    let owned =
        CopyStep { chown: Some("5:6".into()), chmod: Some(0o700), ..step("COPY", &["d"], "/to") };
    place.run(&owned).unwrap();
    assert_eq!(modes(), [0o755, 0o700, 0o700]);
    let uid = |path: &str| place.root(path).metadata().unwrap().uid();
    assert_eq!(["to", "to/sub", "to/sub/deep", "to/sub/deep/b"].map(uid), [0, 5, 5, 5]);
}

#[test]
fn a_file_does_not_take_the_place_of_a_directory() {
    let place = Place::new();
    place.source("a", "1");
    place.source("d/a", "1");
    std::fs::create_dir_all(place.root("to/a/b")).unwrap();
    let text = CopySource::Content { name: "a".into(), text: "1".into() };
    let steps = [
        step("COPY", &["a"], "/to/"),
        step("ADD", &["a"], "/to"),
        step("COPY", &["d"], "/to"),
        CopyStep { sources: vec![text], ..step("COPY", &[], "/to/") },
    ];
    for step in steps {
        let error = place.run(&step).unwrap_err();
        assert!(error.ends_with("cannot replace to directory /to/a with file"), "{error}");
    }
    assert_eq!(place.tree(), ["to/", "to/a/", "to/a/b/"]);
    let tar = TarContext::new().file("a", "from the archive").into_bytes();
    std::fs::write(place.context("a.tar"), tar).unwrap();
    place.run(&step("ADD", &["a.tar"], "/to")).unwrap();
    assert_eq!(place.read("to/a"), "from the archive");
}

#[test]
fn patterns_match_one_level() {
    let place = Place::new();
    for path in ["a.py", "b.py", "c.txt", "sub/d.py", "[x]"] {
        place.source(path, path);
    }
    place.copy(&["*.py", "sub/?.py"], "/p/").unwrap();
    assert_eq!(place.tree(), ["p/", "p/a.py", "p/b.py", "p/d.py"]);
    assert_eq!(
        place.copy(&["*.none"], "/p/").unwrap_err(),
        "COPY failed: no source files were specified"
    );
    assert!(place.copy(&["*.py"], "/two").unwrap_err().contains("more than one source file"));
    place.copy(&["[[]x]"], "/odd/").unwrap();
    assert_eq!(place.read("odd/[x]"), "[x]");
}

#[test]
fn owners_permissions_and_times() {
    let place = Place::new();
    place.source("a", "1");
    std::fs::set_permissions(place.context("a"), std::fs::Permissions::from_mode(0o751)).unwrap();
    std::os::unix::fs::chown(place.context("a"), Some(1000), Some(1000)).unwrap();
    let set = std::process::Command::new("touch")
        .args(["-d", "@1000000000"])
        .arg(place.context("a"))
        .status();
    assert!(set.unwrap().success());
    place.copy(&["a"], "/plain").unwrap();
    let plain = place.root("plain").metadata().unwrap();
    assert_eq!((plain.uid(), plain.gid(), plain.mode() & 0o7777), (0, 0, 0o751));
    assert_eq!(plain.mtime(), 1_000_000_000);
    std::fs::create_dir(place.root("etc")).unwrap();
    std::fs::write(place.root("etc/passwd"), "web:x:33:34::/:\n").unwrap();
    let owned = CopyStep {
        chown: Some("web".into()),
        chmod: Some(0o4700),
        ..step("COPY", &["a"], "/new/owned")
    };
    place.run(&owned).unwrap();
    let owned = place.root("new/owned").metadata().unwrap();
    assert_eq!((owned.uid(), owned.gid(), owned.mode() & 0o7777), (33, 34, 0o4700));
    assert_eq!(place.root("new").metadata().unwrap().uid(), 33, "and its directory");
}

#[test]
fn links_stay_inside_on_both_sides() {
    let place = Place::new();
    std::fs::write(place.outer.path().join("secret"), "secret").unwrap();
    place.source("a", "inside");
    symlink("../secret", place.context("up")).unwrap();
    symlink(place.outer.path().join("secret"), place.context("absolute")).unwrap();
    for source in ["up", "absolute"] {
        let error = place.copy(&[source], "/x").unwrap_err();
        assert!(error.contains("file does not exist"), "{error}");
    }
    for (name, target) in [("out", "../.."), ("abs", "/"), ("far", "/outside/of")] {
        symlink(target, place.root(name)).unwrap();
        place.copy(&["a"], &format!("/{name}/landed-{name}")).unwrap();
    }
    assert_eq!(place.read("landed-out"), "inside");
    assert_eq!(place.read("landed-abs"), "inside");
    assert_eq!(place.read("outside/of/landed-far"), "inside");
    assert!(!place.outer.path().join("landed-out").exists());
    assert!(!Path::new("/landed-abs").exists());
}

#[test]
fn links_below_a_directory_are_copied_as_links() {
    let place = Place::new();
    place.source("d/a", "1");
    symlink("a", place.context("d/link")).unwrap();
    symlink("/etc/shadow", place.context("d/shadow")).unwrap();
    std::fs::hard_link(place.context("d/a"), place.context("d/hard")).unwrap();
    symlink("d", place.context("dirlink")).unwrap();
    place.copy(&["dirlink"], "/to").unwrap();
    assert_eq!(place.tree(), ["to/", "to/a", "to/hard", "to/link", "to/shadow"]);
    assert_eq!(std::fs::read_link(place.root("to/shadow")).unwrap(), Path::new("/etc/shadow"));
    let inode = |path: &str| place.root(path).metadata().unwrap().ino();
    assert_eq!(inode("to/a"), inode("to/hard"));
    place.copy(&["d/link"], "/followed").unwrap();
    assert!(place.root("followed").symlink_metadata().unwrap().is_file());
}

#[test]
fn a_directory_that_is_a_link_in_the_image_stays_one() {
    let place = Place::new();
    place.source("rootfs/lib/x", "1");
    std::fs::create_dir_all(place.root("usr/lib")).unwrap();
    symlink("usr/lib", place.root("lib")).unwrap();
    place.copy(&["rootfs"], "/").unwrap();
    assert!(place.root("lib").symlink_metadata().unwrap().is_symlink());
    assert_eq!(place.read("usr/lib/x"), "1");
}

#[test]
fn a_file_takes_the_place_of_a_link() {
    let place = Place::new();
    place.source("d/a", "new");
    std::fs::write(place.root("target"), "old").unwrap();
    std::fs::create_dir(place.root("to")).unwrap();
    symlink("../target", place.root("to/a")).unwrap();
    place.copy(&["d"], "/to/").unwrap();
    assert_eq!((place.read("to/a"), place.read("target")), ("new".into(), "old".into()));
}

#[test]
fn excluded_files_are_left_out_and_do_not_count() {
    let place = Place::new();
    place.source("d/keep", "1");
    place.source("d/drop.log", "1");
    let with_exclude = CopyStep { exclude: vec!["*.log".into()], ..step("COPY", &["d"], "/to") };
    let before = place.run(&with_exclude).unwrap();
    assert_eq!(place.tree(), ["to/", "to/keep"]);
    place.source("d/drop.log", "2");
    assert_eq!(place.run(&with_exclude).unwrap(), before);
    assert_ne!(place.copy(&["d"], "/to").unwrap(), before);
}

#[test]
fn archives_are_unpacked_by_add_alone() {
    let place = Place::new();
    let tar = TarContext::new()
        .directory("etc")
        .file_with_mode("etc/conf", "c", 0o640)
        .link("latest", "etc/conf")
        .into_bytes();
    std::fs::write(place.context("a.tar"), &tar).unwrap();
    let gzip = {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar).unwrap();
        gzip.finish().unwrap()
    };
    std::fs::write(place.context("b.tgz"), gzip).unwrap();
    place.source("plain", "not an archive");
    place.run(&step("ADD", &["a.tar"], "/one/two")).unwrap();
    let conf = place.root("one/two/etc/conf").metadata().unwrap();
    assert_eq!((conf.uid(), conf.mode() & 0o777), (1000, 0o640), "as the archive says");
    place.run(&step("ADD", &["b.tgz"], "/gz/")).unwrap();
    assert_eq!(place.read("gz/latest"), "c");
    place.run(&step("ADD", &["plain"], "/plain")).unwrap();
    assert_eq!(place.read("plain"), "not an archive");
    place.copy(&["a.tar"], "/copied").unwrap();
    assert_eq!(std::fs::read(place.root("copied")).unwrap(), tar);
    let owned = CopyStep { chown: Some("5:6".into()), ..step("ADD", &["a.tar"], "/owned") };
    place.run(&owned).unwrap();
    assert_eq!(place.root("owned/etc/conf").metadata().unwrap().uid(), 5);
}

#[test]
fn an_archive_cannot_leave_the_root() {
    let place = Place::new();
    let tar = TarContext::new().link("up", "../../..").file("up/landed", "x").into_bytes();
    std::fs::write(place.context("a.tar"), tar).unwrap();
    place.run(&step("ADD", &["a.tar"], "/sub")).unwrap();
    assert_eq!(place.read("landed"), "x");
    let tar = TarContext::new().file("../landed2", "x").into_bytes();
    std::fs::write(place.context("b.tar"), tar).unwrap();
    let error = place.run(&step("ADD", &["b.tar"], "/sub")).unwrap_err();
    assert!(error.contains("outside of the archive"), "{error}");
}

#[test]
fn compressions_that_are_missing_are_named() {
    let place = Place::new();
    std::fs::write(place.context("a.tar.xz"), b"\xfd7zXZ\0....").unwrap();
    let error = place.run(&step("ADD", &["a.tar.xz"], "/")).unwrap_err();
    assert!(error.contains("a.tar.xz") && error.contains("xz, is not supported"), "{error}");
    let (compression, _) = crate::context::detect(&b"BZh9"[..]).unwrap();
    assert_eq!(compression, Compression::Bzip2);
}
