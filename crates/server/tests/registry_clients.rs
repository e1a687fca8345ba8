//! The registry with real clients on loopback: our own image store, and skopeo.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    io::ErrorKind,
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use shoal_image::{
    Auth, Image, ImageConfig, LayerState, Progress, ProgressSink, Store, StoreConfig, no_progress,
};
use shoal_model::{Classify, Kind, Platform, Reference};
use shoal_server::registry::{Registry, Users, serve};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, yield_now},
};
use tokio_util::sync::CancellationToken;

/// A registry on loopback.
struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start(root: &Path, users: Users) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, root, users).await
    }

    async fn on(listener: TcpListener, root: &Path, users: Users) -> Self {
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        // The last connection of the one before lets go of the directory a
        // moment after its answer.
        let registry = loop {
            match Registry::open(root, users.clone()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        let task = tokio::spawn(serve(listener, registry, stop.clone()));
        Self { address, stop, task }
    }

    fn name(&self, rest: &str) -> Reference {
        Reference::parse(&format!("{}/{rest}", self.address)).unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn open(root: &Path) -> Arc<Store> {
    Store::open(root, StoreConfig::default()).unwrap()
}

/// An image of one layer per list of files.
fn image(store: &Store, layers: &[Vec<(&str, Vec<u8>)>], tags: &[Reference]) -> Image {
    let lease = store.lease();
    let mut diff_ids = Vec::new();
    for files in layers {
        let scratch = store.scratch().unwrap();
        let upper = scratch.path().join("upper");
        std::fs::create_dir(&upper).unwrap();
        for (path, content) in files {
            let path = upper.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        diff_ids.push(store.commit_layer(&upper, &lease).unwrap().diff_id);
    }
    store.put_image(ImageConfig::new(&Platform::host()), &diff_ids, tags, None).unwrap()
}

fn read(store: &Store, image: &Image, path: &str) -> Vec<u8> {
    let directories = store.lower_dirs(image).unwrap();
    directories.iter().find_map(|directory| std::fs::read(directory.join(path)).ok()).unwrap()
}

fn recorder() -> (ProgressSink, Arc<Mutex<Vec<Progress>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = events.clone();
    (Arc::new(move |event| sink.lock().unwrap().push(event)), events)
}

fn states(events: &Mutex<Vec<Progress>>) -> Vec<String> {
    let events = events.lock().unwrap();
    let states = events.iter().filter_map(|event| match event {
        Progress::Layer { state, .. } => Some(state.to_string()),
        _ => None,
    });
    let mut states: Vec<String> = states
        .filter(|state| *state != LayerState::Preparing.to_string())
        .filter(|state| *state != LayerState::Pushing.to_string())
        .collect();
    states.sort();
    states
}

fn noise(length: u32) -> Vec<u8> {
    (0..length).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_to_the_registry_and_comes_back_the_same() {
    let (root, first, second) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let registry = Running::start(root.path(), Users::default()).await;
    let (from, to) = (open(first.path()), open(second.path()));
    let (tag, other, elsewhere) =
        (registry.name("team/x:1"), registry.name("team/x:2"), registry.name("other/y:1"));
    let big = noise(2_000_000);
    let layers = [vec![("usr/big", big.clone())], vec![("a", b"1".to_vec())], vec![]];
    let tags = [tag.clone(), other.clone(), elsewhere.clone()];
    let made = image(&from, &layers, &tags);

    let (sink, events) = recorder();
    let pushed = from.push(&tag, &Auth::Anonymous, sink).await.unwrap();
    assert_eq!(states(&events), ["Pushed", "Pushed", "Pushed"]);
    let last = events.lock().unwrap().last().cloned();
    let (digest, size) = (pushed.digest.clone(), pushed.size);
    assert_eq!(last, Some(Progress::TagPushed { tag: "1".into(), digest, size }));
    // Again under another tag: the same manifest, nothing sent.
    let (sink, events) = recorder();
    assert_eq!(from.push(&other, &Auth::Anonymous, sink).await.unwrap(), pushed);
    assert_eq!(states(&events), vec!["Layer already exists"; 3]);
    // To another repository: taken over, not sent.
    let (sink, events) = recorder();
    assert_eq!(from.push(&elsewhere, &Auth::Anonymous, sink).await.unwrap(), pushed);
    assert_eq!(states(&events), vec!["Mounted from team/x"; 3]);

    let (sink, events) = recorder();
    let pulled = to.pull(&tag, &Auth::Anonymous, None, sink).await.unwrap();
    assert_eq!((&pulled.image.id, &pulled.digest), (&made.id, &pushed.digest));
    assert!(states(&events).iter().filter(|state| *state == "Pull complete").count() == 3);
    assert!(read(&to, &pulled.image, "usr/big") == big);
    let pinned = registry.name("other/y").with_digest(pushed.digest.clone());
    let again = to.pull(&pinned, &Auth::Anonymous, None, no_progress()).await.unwrap();
    assert_eq!(again.image.id, made.id);
    assert_eq!(again.image.repo_digests.len(), 2);
    let found = to.remote_manifest(&other, &Auth::Anonymous).await.unwrap();
    assert_eq!((found.digest, found.platforms), (pushed.digest.clone(), vec![Platform::host()]));
    assert_eq!(to.remote_tags(&tag, &Auth::Anonymous).await.unwrap(), ["1", "2"]);
    // What was pulled is pushed on under the same digest.
    let third = registry.name("third:1");
    to.tag(made.id.as_str(), &third).unwrap();
    assert_eq!(to.push(&third, &Auth::Anonymous, no_progress()).await.unwrap(), pushed);
    // And survives the registry's restart.
    let address = registry.address;
    registry.stop().await;
    let listener = TcpListener::bind(address).await.unwrap();
    let registry = Running::on(listener, root.path(), Users::default()).await;
    to.remove(made.id.as_str(), true, true, &|_| Vec::new()).unwrap();
    assert!(to.resolve(made.id.as_str()).is_err());
    let back = to.pull(&third, &Auth::Anonymous, None, no_progress()).await.unwrap();
    assert!(read(&to, &back.image, "usr/big") == big);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_asked_for_and_checked() {
    let (root, images) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut users = Users::default();
    users.add("ann", "secret");
    let registry = Running::start(root.path(), users).await;
    let store = open(images.path());
    let tag = registry.name("x:1");
    image(&store, &[vec![("a", b"1".to_vec())]], std::slice::from_ref(&tag));
    let good = Auth::Basic { username: "ann".into(), password: "secret".into() };
    let bad = Auth::Basic { username: "ann".into(), password: "guess".into() };
    let host = registry.address.to_string();
    store.login(&host, &good).await.unwrap();
    assert_eq!(store.login(&host, &bad).await.unwrap_err().kind(), Kind::Unauthorized);
    let error = store.push(&tag, &Auth::Anonymous, no_progress()).await.unwrap_err();
    assert_eq!(error.to_string(), "no basic auth credentials");
    let error = store.push(&tag, &bad, no_progress()).await.unwrap_err();
    assert_eq!(error.to_string(), "unauthorized: authentication required");
    store.push(&tag, &good, no_progress()).await.unwrap();
    assert!(store.pull(&tag, &Auth::Anonymous, None, no_progress()).await.is_err());
    assert!(!store.pull(&tag, &good, None, no_progress()).await.unwrap().newer);
    registry.stop().await;
}

async fn skopeo(arguments: &[&str]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.into()).collect();
    let run = move || Command::new("skopeo").arg("--insecure-policy").args(&arguments).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_pulls_lists_and_deletes() {
    let (root, images, work) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut users = Users::default();
    users.add("ann", "secret");
    let registry = Running::start(root.path(), users).await;
    let store = open(images.path());
    let auth = Auth::Basic { username: "ann".into(), password: "secret".into() };
    let tag = registry.name("x:1");
    let content = noise(500_000);
    let layers = [vec![("usr/big", content.clone())], vec![("a", b"1".to_vec())]];
    let made = image(&store, &layers, std::slice::from_ref(&tag));
    let pushed = store.push(&tag, &auth, no_progress()).await.unwrap();

    let address = registry.address;
    let remote = |rest: &str| format!("docker://{address}/{rest}");
    let layout = |tag: &str| format!("oci:{}:{tag}", work.path().join("layout").display());
    let secured = |words: &[&str], places: &[String]| {
        let mut arguments: Vec<String> = words.iter().map(|&word| word.into()).collect();
        arguments.extend(places.iter().cloned());
        arguments
    };
    let run = |arguments: Vec<String>| async move {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        skopeo(&arguments).await
    };
    let from = ["copy", "--quiet", "--src-tls-verify=false", "--src-creds=ann:secret"];
    run(secured(&from, &[remote("x:1"), layout("one")])).await;
    // Back as zstd and under OCI types, and as Docker's.
    for (tag, options) in [
        ("zstd", &["--dest-compress-format=zstd", "--format=oci"][..]),
        ("v2s2", &["--format=v2s2"]),
    ] {
        let mut words =
            vec!["copy", "--quiet", "--dest-tls-verify=false", "--dest-creds=ann:secret"];
        words.extend(options);
        run(secured(&words, &[layout("one"), remote(&format!("y:{tag}"))])).await;
        let elsewhere = tempfile::tempdir().unwrap();
        let store = open(elsewhere.path());
        let name = Reference::parse(&format!("{address}/y:{tag}")).unwrap();
        let pulled = store.pull(&name, &auth, None, no_progress()).await.unwrap();
        assert_eq!(pulled.image.layers, made.layers, "{tag}");
        assert!(read(&store, &pulled.image, "usr/big") == content, "{tag}");
    }
    let plain = ["--tls-verify=false", "--creds=ann:secret"];
    let listed = run(secured(&[&["list-tags"][..], &plain].concat(), &[remote("y")])).await;
    assert!(listed.contains("\"zstd\"") && listed.contains("\"v2s2\""), "{listed}");
    let inspect = run(secured(&[&["inspect"][..], &plain].concat(), &[remote("x:1")])).await;
    assert!(inspect.contains(pushed.digest.as_str()), "{inspect}");
    run(secured(&[&["delete"][..], &plain].concat(), &[remote("x:1")])).await;
    let error = store.pull(&tag, &auth, None, no_progress()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_push_at_the_same_time() {
    let root = tempfile::tempdir().unwrap();
    let registry = Running::start(root.path(), Users::default()).await;
    let shared = noise(300_000);
    let pushes = (0..6_u8).map(|number| {
        let (shared, tag) = (shared.clone(), registry.name(&format!("x:{number}")));
        async move {
            let images = tempfile::tempdir().unwrap();
            let store = open(images.path());
            let layers = [vec![("shared", shared)], vec![("own", vec![number; 1000])]];
            image(&store, &layers, std::slice::from_ref(&tag));
            store.push(&tag, &Auth::Anonymous, no_progress()).await.unwrap();
            let there = tempfile::tempdir().unwrap();
            let store = open(there.path());
            let pulled = store.pull(&tag, &Auth::Anonymous, None, no_progress()).await.unwrap();
            assert_eq!(read(&store, &pulled.image, "own"), vec![number; 1000]);
        }
    });
    futures_util::future::join_all(pushes).await;
    assert_eq!(std::fs::read_dir(root.path().join("uploads")).unwrap().count(), 0);
    registry.stop().await;
}

/// Bytes that are no HTTP, and uploads that break off, harm nobody.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_broken_uploads_are_survived() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let root = tempfile::tempdir().unwrap();
    let registry = Running::start(root.path(), Users::default()).await;
    let address = registry.address;
    // Some hang up after they have spoken, others wait for the answer.
    let talk = |bytes: Vec<u8>, hang_up: bool| async move {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        if hang_up {
            let _ = stream.shutdown().await;
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let request = |line: String, length: usize| {
        let headers = format!("host: x\r\nconnection: close\r\ncontent-length: {length}");
        format!("{line} HTTP/1.1\r\n{headers}\r\n\r\n")
    };
    talk(noise(10_000), true).await;
    talk(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), true).await;
    talk(b"GET /v2/ HTTP/9.9\r\n\r\n".to_vec(), false).await;
    let begin = request("POST /v2/x/blobs/uploads/".into(), 0);
    let begun = talk(begin.into_bytes(), false).await;
    let place = begun.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned();
    let part = request(format!("PATCH {place}"), 1000) + "only this";
    talk(part.into_bytes(), true).await;
    // What has arrived stays.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let status = talk(request(format!("GET {place}"), 0).into_bytes(), false).await;
        assert!(status.starts_with("HTTP/1.1 204"), "{status}");
        if status.contains("range: 0-8\r\n") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{status}");
    }
    registry.stop().await;
}

const FULL_DISK: &str = "SHOAL_TEST_REGISTRY_FULL_DISK";

/// The registry is on a small tmpfs in a mount namespace of its own, so the
/// test runs itself there.
#[test]
fn a_full_disk_is_said_to_the_client() {
    let mount_point = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "push_to_a_full_disk_when_asked", "--nocapture"])
        .env(FULL_DISK, mount_point.path())
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
}

/// Does nothing unless the test above runs it.
#[tokio::test(flavor = "multi_thread")]
async fn push_to_a_full_disk_when_asked() {
    let Some(path) = std::env::var_os(FULL_DISK) else { return };
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(mounted.success());
    let (root, images) = (Path::new(&path), tempfile::tempdir().unwrap());
    let registry = Running::start(root, Users::default()).await;
    let store = open(images.path());
    let (big, small) = (registry.name("x:big"), registry.name("x:small"));
    image(&store, &[vec![("big", noise(3_000_000))]], std::slice::from_ref(&big));
    image(&store, &[vec![("small", noise(100_000))]], std::slice::from_ref(&small));
    let error = store.push(&big, &Auth::Anonymous, no_progress()).await.unwrap_err();
    assert!(error.to_string().contains("no space left on device"), "{error}");
    assert_eq!(std::fs::read_dir(root.join("uploads")).unwrap().count(), 0);
    store.push(&small, &Auth::Anonymous, no_progress()).await.unwrap();
    let missing = store.pull(&big, &Auth::Anonymous, None, no_progress()).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
    registry.stop().await;
}
