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

/// An immutable file cannot be removed, not even by root.
struct Immutable(std::path::PathBuf);

impl Immutable {
    /// `None` where the file system knows no such thing.
    fn make(path: std::path::PathBuf) -> Option<Self> {
        fs::write(&path, "rubbish").unwrap();
        let this = Self(path);
        this.set(true).is_ok().then_some(this)
    }

    fn set(&self, on: bool) -> rustix::io::Result<()> {
        let file = fs::File::open(&self.0).unwrap();
        let mut flags = rustix::fs::ioctl_getflags(&file)?;
        flags.set(rustix::fs::IFlags::IMMUTABLE, on);
        rustix::fs::ioctl_setflags(&file, flags)
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let _ = self.set(false);
    }
}

#[test]
fn rubbish_that_stays_keeps_nothing_from_opening() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()));
    let ingest = root.path().join("ingest");
    fs::create_dir_all(ingest.join("4/diff")).unwrap();
    fs::write(ingest.join("5"), "goes").unwrap();
    let Some(rubbish) = Immutable::make(ingest.join("4/diff/rubbish")) else {
        eprintln!("skipped: no immutable files here");
        return;
    };
    let store = open(root.path());
    assert_eq!(listing(root.path(), "ingest"), ["4"]);
    // More than the rubbish's number, so that a name taken would show.
    for n in 0..8 {
        image(&store, &[&[("a", &[n])]], &["x"], 1);
    }
    assert_eq!(listing(root.path(), "ingest"), ["4"]);
    drop(store);
    drop(rubbish);
    let _store = open(root.path());
    assert!(listing(root.path(), "ingest").is_empty());
}

#[test]
fn only_root_has_a_way_in() {
    use std::os::unix::fs::PermissionsExt;
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("image");
    let mode = || fs::metadata(&root).unwrap().permissions().mode() & 0o7777;
    drop(open(&root));
    assert_eq!(mode(), 0o700);
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    drop(open(&root));
    assert_eq!(mode(), 0o700);
}

#[test]
fn a_layer_that_became_unreadable_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let made = image(&open(root.path()), &[&[("a", b"1")]], &["x"], 1);
    let record = root.path().join("layers").join(made.layers[0].hex()).join("layer.json");
    fs::write(&record, "").unwrap();
    let store = open(root.path());
    assert!(store.resolve("x").is_err());
    let again = image(&store, &[&[("a", b"1")]], &["x"], 1);
    assert_eq!(again.id, made.id);
    assert_eq!(read_layer_file(&store, &again, "a").unwrap(), b"1");
    assert!(listing(root.path(), "ingest").is_empty());
}

#[test]
fn a_pin_outlives_the_boot_once_an_image_was_recorded() {
    let root = tempfile::tempdir().unwrap();
    let pin = |store: &Store, name: &str| {
        let lease = store.lease();
        let layer = store.put_layer(&tar(&[("a", name.as_bytes())])[..], &lease).unwrap();
        let pin = crate::Pin {
            name: name.into(),
            layers: vec![layer.diff_id],
            blobs: Vec::new(),
            data: serde_json::Value::Null,
            created: Timestamp::from_seconds(1),
        };
        store.pin(&pin).unwrap();
    };
    let names =
        |store: &Store| -> Vec<String> { store.pins("").into_iter().map(|pin| pin.name).collect() };
    // A store of another boot finds the folder of this one under another name.
    let reboot = || {
        let fresh = root.path().join("pins/fresh");
        for item in fs::read_dir(&fresh).unwrap() {
            fs::rename(item.unwrap().path(), fresh.join("another-boot")).unwrap();
        }
    };
    {
        let store = open(root.path());
        pin(&store, "flushed");
        image(&store, &[&[("b", b"1")]], &["x"], 1);
        pin(&store, "fresh");
    }
    {
        // Only the daemon ended.
        let store = open(root.path());
        assert_eq!(names(&store), ["flushed", "fresh"]);
    }
    reboot();
    {
        let store = open(root.path());
        assert_eq!(names(&store), ["flushed"]);
        // What is pinned anew is fresh again, and so is nothing that was unpinned.
        pin(&store, "flushed");
        pin(&store, "gone");
        store.unpin("gone").unwrap();
    }
    assert_eq!(names(&open(root.path())), ["flushed"]);
    reboot();
    assert_eq!(names(&open(root.path())), [] as [&str; 0]);
}

#[test]
fn what_is_stored_is_flushed_before_it_is_named() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let is_flushed = || store.inner.writer().is_flushed(&store.inner);
    assert!(!is_flushed());
    image(&store, &[&[("a", b"1")]], &["x"], 1);
    assert!(is_flushed());
    store.put_layer(&tar(&[("a", b"2")])[..], &store.lease()).unwrap();
    assert!(!is_flushed());
    store.tag("x", &name("y")).unwrap();
    assert!(!is_flushed());
    image(&store, &[&[("a", b"1")]], &["z"], 1);
    assert!(is_flushed());
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
