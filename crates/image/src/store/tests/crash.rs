//! A daemon killed at any moment leaves a store that opens clean.
//!
//! The test runs itself as another process, lets it load an archive through a
//! pipe, and kills it when it is in the middle.

use std::{
    fs,
    io::Write,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{remote::stuck, *};
use crate::{Auth, no_progress};

const ROOT: &str = "SHOAL_TEST_CRASH_ROOT";
const ADDRESS: &str = "SHOAL_TEST_CRASH_REGISTRY";

/// Runs one test of this file as another process.
fn victim(test: &str, root: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("store::tests::crash::{test}")])
        .env(ROOT, root)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Kills the process when it has put so many bytes into the store.
fn kill_in_the_middle(mut child: Child, root: &Path, bytes: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let ingest = root.join("ingest");
    let in_the_middle = || {
        let files = fs::read_dir(&ingest).into_iter().flatten().flatten();
        files.flat_map(|file| file.metadata()).any(|status| status.len() > bytes)
    };
    while !in_the_middle() {
        assert!(Instant::now() < deadline, "it never began");
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!listing(root, "ingest").is_empty());
}

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
    let mut child = victim("load_from_stdin_when_asked", root.path()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&archive[..archive.len() / 2]).unwrap();
    kill_in_the_middle(child, root.path(), 1 << 20);
    drop(stdin);
    let store = open(root.path());
    assert!(listing(root.path(), "ingest").is_empty());
    assert!(store.resolve("new").is_err());
    assert_eq!(read_layer_file(&store, &kept, "a").unwrap(), b"kept");
    assert_eq!(listing(root.path(), "layers"), [kept.layers[0].hex()]);
    // And the same archive loads now.
    assert!(store.load(&archive[..], no_progress()).is_ok());
}

/// The victim. Does nothing unless the test below runs it.
#[tokio::test(flavor = "multi_thread")]
async fn pull_when_asked() {
    let (Some(root), Ok(address)) = (std::env::var_os(ROOT), std::env::var(ADDRESS)) else {
        return;
    };
    let store = open(Path::new(&root));
    let image = name(&format!("{address}/x:1"));
    store.pull(&image, &Auth::Anonymous, None, no_progress()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_killed_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let noise: Vec<u8> =
        (0..1_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let (fake, address, _) = stuck(&noise).await;
    let mut command = victim("pull_when_asked", root.path());
    let child = command.env(ADDRESS, address.to_string()).spawn().unwrap();
    let path = root.path().to_owned();
    let killing = move || kill_in_the_middle(child, &path, 100_000);
    tokio::task::spawn_blocking(killing).await.unwrap();
    let store = open(root.path());
    for directory in ["ingest", "layers", "blobs/sha256"] {
        assert!(listing(root.path(), directory).is_empty(), "{directory}");
    }
    let pulled = store.pull(&fake.name(), &Auth::Anonymous, None, no_progress()).await.unwrap();
    assert!(read_layer_file(&store, &pulled.image, "noise").unwrap() == noise);
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
