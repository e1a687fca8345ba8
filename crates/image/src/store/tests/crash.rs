//! A daemon killed at any moment leaves a store that opens clean.
//!
//! The test runs itself as another process, lets it load an archive through a
//! pipe, and kills it when it is in the middle.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::*;
use crate::no_progress;

const ROOT: &str = "SHOAL_TEST_CRASH_ROOT";

/// The victim. Does nothing unless the test below runs it.
#[test]
fn load_from_stdin_when_asked() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let store = open(Path::new(&root));
    store.load(std::io::stdin(), no_progress()).unwrap();
}

#[test]
fn a_load_that_is_killed_leaves_nothing() {
    let (root, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let kept = {
        let store = open(root.path());
        image(&store, &[&[("a", b"kept")]], &["kept"], 1)
    };
    let archive = {
        let store = open(from.path());
        image(&store, &[&[("big", &vec![3; 4 << 20])]], &["new"], 2);
        let mut archive = Vec::new();
        store.save(&["new".into()], &mut archive).unwrap();
        archive
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::crash::load_from_stdin_when_asked"])
        .env(ROOT, root.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&archive[..archive.len() / 2]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let ingest = root.path().join("ingest");
    let in_the_middle = || {
        let files = fs::read_dir(&ingest).into_iter().flatten().flatten();
        files.flat_map(|file| file.metadata()).any(|status| status.len() > 1 << 20)
    };
    while !in_the_middle() {
        assert!(Instant::now() < deadline, "the load never began");
        assert!(child.try_wait().unwrap().is_none(), "the load ended");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!listing(root.path(), "ingest").is_empty());
    let store = open(root.path());
    assert!(listing(root.path(), "ingest").is_empty());
    assert!(store.resolve("new").is_err());
    assert_eq!(read_layer_file(&store, &kept, "a").unwrap(), b"kept");
    assert_eq!(listing(root.path(), "layers"), [kept.layers[0].hex()]);
    // And the same archive loads now.
    assert!(store.load(&archive[..], no_progress()).is_ok());
}

#[test]
fn content_without_a_name_is_collected_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    {
        // As if killed between the layer and the image.
        let store = open(root.path());
        let lease = store.lease();
        store.put_layer(&tar(&[("a", b"1")])[..], &lease).unwrap();
        std::mem::forget(lease);
    }
    let store = open(root.path());
    assert_eq!(store.usage().unreferenced_bytes, 1);
    store.collect_garbage().unwrap();
    assert!(listing(root.path(), "layers").is_empty());
}

#[test]
fn an_image_whose_content_is_gone_is_forgotten() {
    let root = tempfile::tempdir().unwrap();
    let made = {
        let store = open(root.path());
        image(&store, &[&[("a", b"kept")]], &["whole"], 1);
        image(&store, &[&[("a", b"lost")]], &["broken"], 1)
    };
    fs::remove_dir_all(root.path().join("layers").join(made.layers[0].hex())).unwrap();
    let store = open(root.path());
    assert!(store.resolve("broken").is_err());
    assert!(store.resolve("whole").is_ok());
}

#[test]
fn an_index_of_another_version_is_not_touched() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()));
    let index = r#"{"version":99,"images":{},"tags":{},"digests":{}}"#;
    fs::write(root.path().join("index.json"), index).unwrap();
    let error = Store::open(root.path(), StoreConfig::default()).unwrap_err();
    assert!(error.to_string().contains("written by another version (99)"), "{error}");
    assert_eq!(fs::read_to_string(root.path().join("index.json")).unwrap(), index);
}
