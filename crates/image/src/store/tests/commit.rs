//! Directories that become layers.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use super::*;
use crate::ImportOptions;

/// An upper directory as overlay leaves it, in a scratch of the store.
fn upper(store: &Store) -> (crate::Scratch, std::path::PathBuf) {
    let scratch = store.scratch().unwrap();
    let upper = scratch.path().join("upper");
    fs::create_dir(&upper).unwrap();
    fs::set_permissions(&upper, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(upper.join("etc")).unwrap();
    fs::write(upper.join("etc/new"), "content").unwrap();
    fs::hard_link(upper.join("etc/new"), upper.join("etc/same")).unwrap();
    let mode = rustix::fs::Mode::empty();
    let kind = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, upper.join("etc/gone"), kind, mode, 0).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    let mark = "trusted.overlay.opaque";
    rustix::fs::setxattr(upper.join("etc"), mark, b"y", flags).unwrap();
    rustix::fs::setxattr(upper.join("etc"), "trusted.overlay.origin", b"x", flags).unwrap();
    (scratch, upper)
}

#[test]
fn an_upper_directory_becomes_the_layer_by_a_rename() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (_scratch, upper) = upper(&store);
    let inode = fs::metadata(upper.join("etc/new")).unwrap().ino();
    let lease = store.lease();
    let layer = store.commit_layer(&upper, &lease).unwrap();
    assert!(!upper.exists());
    assert_eq!(layer.size, 7);
    let directory = &store.layer_dirs(std::slice::from_ref(&layer.diff_id)).unwrap()[0];
    assert_eq!(fs::metadata(directory.join("etc/new")).unwrap().ino(), inode);
    let mut written = Vec::new();
    store.inner.write_layer(&layer.diff_id, &mut written).unwrap();
    assert_eq!(written.len() as u64, layer.tar_size);
    let mut names: Vec<String> = Vec::new();
    let mut archive = tar::Archive::new(&written[..]);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        assert!(entry.pax_extensions().unwrap().is_none(), "no attribute of overlay is carried");
        names.push(entry.path().unwrap().display().to_string());
    }
    let expected = ["etc/", "etc/.wh..wh..opq", "etc/.wh.gone", "etc/new", "etc/same"];
    assert_eq!(names, expected);
}

#[test]
fn the_same_content_is_one_layer() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let lease = store.lease();
    let layers: Vec<_> = (0..2)
        .map(|_| {
            let (_scratch, upper) = upper(&store);
            for path in ["etc/new", "etc/gone", "etc"] {
                let time = rustix::fs::Timespec { tv_sec: 5, tv_nsec: 0 };
                let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
                let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                let path = upper.join(path);
                rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
            }
            let layer = store.commit_layer(&upper, &lease).unwrap();
            assert!(!upper.exists());
            layer
        })
        .collect();
    assert_eq!(layers[0], layers[1]);
    assert_eq!(listing(root.path(), "layers").len(), 1);
    assert!(listing(root.path(), "ingest").is_empty());
}

#[test]
fn a_copied_layer_leaves_the_directory_alone() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (_scratch, upper) = upper(&store);
    let lease = store.lease();
    let copied = store.copy_layer(&upper, &lease).unwrap();
    assert_eq!(fs::read_to_string(upper.join("etc/new")).unwrap(), "content");
    let directory = &store.layer_dirs(std::slice::from_ref(&copied.diff_id)).unwrap()[0];
    let gone = fs::symlink_metadata(directory.join("etc/gone")).unwrap();
    assert_eq!((gone.mode() & 0o170_000, gone.rdev()), (0o020_000, 0));
    assert_eq!(fs::metadata(directory.join("etc/same")).unwrap().nlink(), 2);
    assert_eq!(store.commit_layer(&upper, &lease).unwrap(), copied);
    let error = store.copy_layer(Path::new("/nonexistent/upper"), &lease).unwrap_err();
    assert!(error.to_string().starts_with("failed to register layer"), "{error}");
}

#[test]
fn a_directory_that_overlay_renamed_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (_scratch, upper) = upper(&store);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(upper.join("etc"), "trusted.overlay.redirect", b"/usr", flags).unwrap();
    let error = store.commit_layer(&upper, &store.lease()).unwrap_err();
    assert_eq!(shoal_model::Classify::kind(&error), shoal_model::Kind::NotImplemented);
    assert!(upper.join("etc/new").exists());
    assert!(listing(root.path(), "layers").is_empty());
}

#[test]
fn an_imported_root_is_an_image_of_one_layer() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let mut options = ImportOptions { created: Timestamp::from_seconds(7), ..Default::default() };
    options.config.cmd = Some(vec!["/bin/sh".into()]);
    let archive = zstd::encode_all(&tar(&[("bin/sh", b"#!")])[..], 1).unwrap();
    let made = store.import(&archive[..], options, Some(&name("base"))).unwrap();
    assert_eq!(made.repo_tags, ["base:latest"]);
    assert_eq!(made.config.config.cmd.as_deref().unwrap(), ["/bin/sh"]);
    assert_eq!(made.config.comment, "Imported from -");
    assert_eq!(read_layer_file(&store, &made, "bin/sh").unwrap(), b"#!");
    assert_eq!(store.history("base").unwrap()[0].size, 2);
    assert!(store.import(&b"garbage".repeat(100)[..], ImportOptions::default(), None).is_err());
    assert!(listing(root.path(), "ingest").is_empty());
}
