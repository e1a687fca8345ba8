//! Pulls and pushes against a registry that misbehaves on demand.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::json;
use sha2::Digest as _;
use shoal_model::{Classify, Kind};
use tokio::sync::oneshot;

use super::*;
use crate::{Auth, Progress, no_progress};

fn digest(bytes: &[u8]) -> Digest {
    Digest::sha256(sha2::Sha256::digest(bytes).into())
}

/// How the registry behaves.
#[derive(Default)]
struct Mood {
    content: HashMap<String, Bytes>,
    /// Blobs break off after this many bytes, this often.
    cut: Option<(usize, u32)>,
    /// Ranges are not understood.
    no_ranges: bool,
    /// Asks for a token, which its own `/token` gives to this header.
    token_for: Option<String>,
    /// Asks for basic authorisation with this header.
    basic: Option<String>,
    requests: Vec<String>,
}

#[derive(Clone)]
pub(super) struct Fake {
    mood: Arc<Mutex<Mood>>,
    address: SocketAddr,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fake = Self { mood: Arc::default(), address };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    fn set(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.mood.lock().unwrap());
    }

    fn put(&self, path: String, bytes: Vec<u8>) {
        self.set(|mood| {
            mood.content.insert(path, bytes.into());
        });
    }

    pub(super) fn name(&self) -> Reference {
        name(&format!("{}/x:1", self.address))
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.mood.lock().unwrap().requests)
    }

    /// An image of one layer under `x:1`; its blob and manifest.
    pub(super) fn add_image(&self, files: &[(&str, &[u8])]) -> (Vec<u8>, Vec<u8>) {
        let plain = tar(files);
        let layer = zstd::encode_all(&plain[..], 1).unwrap();
        let config = json!({
            "os": "linux", "architecture": Platform::host().architecture,
            "rootfs": { "type": "layers", "diff_ids": [digest(&plain)] },
        })
        .to_string()
        .into_bytes();
        let part = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": crate::manifest::OCI_MANIFEST,
            "config": part(crate::manifest::OCI_CONFIG, &config),
            "layers": [part(crate::manifest::OCI_LAYER_ZSTD, &layer)],
        })
        .to_string()
        .into_bytes();
        self.put(format!("/v2/x/blobs/{}", digest(&layer)), layer.clone());
        self.put(format!("/v2/x/blobs/{}", digest(&config)), config);
        self.put(format!("/v2/x/manifests/{}", digest(&manifest)), manifest.clone());
        self.put("/v2/x/manifests/1".into(), manifest.clone());
        (layer, manifest)
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let sent = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let request = Request::from_parts(parts, ());
    let mut mood = fake.mood.lock().unwrap();
    let path = request.uri().path().to_owned();
    mood.requests.push(format!("{} {}", request.method(), request.uri()));
    let header = |name: &str| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned()
    };
    let respond = |status: u16| Response::builder().status(status);
    if path == "/token" {
        let refreshed = String::from_utf8_lossy(&sent).contains("&refresh_token=fresh");
        return match &mood.token_for {
            Some(wanted) if refreshed || *wanted == header("authorization") => {
                respond(200).body(r#"{"token":"good","expires_in":300}"#.into()).unwrap()
            }
            _ => respond(401).body(Body::empty()).unwrap(),
        };
    }
    let realm = format!("Bearer realm=\"http://{}/token\",service=\"fake\"", fake.address);
    let wanted = match (&mood.token_for, &mood.basic) {
        (Some(_), _) => Some((realm, "Bearer good".to_owned())),
        (None, Some(header)) => Some(("Basic realm=\"fake\"".into(), header.clone())),
        _ => None,
    };
    if let Some((challenge, good)) = wanted
        && header("authorization") != good
    {
        let response = respond(401).header("www-authenticate", challenge);
        return response.body(Body::empty()).unwrap();
    }
    if path == "/v2/" {
        return respond(200).body("{}".into()).unwrap();
    }
    let Some(content) = mood.content.get(&path).cloned() else {
        let code = if path.contains("/manifests/") { "MANIFEST_UNKNOWN" } else { "NAME_UNKNOWN" };
        let words = code.to_lowercase().replace('_', " ");
        let body = json!({ "errors": [{ "code": code, "message": words }] }).to_string();
        return respond(404).body(body.into()).unwrap();
    };
    let range = header("range");
    let start = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
    let start: usize = start.and_then(|start| start.parse().ok()).unwrap_or(0);
    let (status, rest) = match start {
        0 => (200, content),
        _ if mood.no_ranges => (200, content),
        _ => (206, content.slice(start..)),
    };
    if path.contains("/blobs/")
        && let Some((length, times)) =
            mood.cut.filter(|(length, times)| *times > 0 && rest.len() > *length)
    {
        mood.cut = Some((length, times - 1));
        let pieces = [Ok(rest.slice(..length)), Err(std::io::Error::other("cut"))];
        let body = Body::from_stream(stream::iter(pieces));
        return respond(status).header("content-length", rest.len()).body(body).unwrap();
    }
    respond(status).body(rest.into()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_transfer_goes_on_where_it_stopped() {
    let noise: Vec<u8> =
        (0..400_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for no_ranges in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        let fake = Fake::start().await;
        let (_, manifest) = fake.add_image(&[("noise", &noise)]);
        fake.set(|mood| (mood.cut, mood.no_ranges) = (Some((500_000, 2)), no_ranges));
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = events.clone();
        let outcome = store
            .pull(
                &fake.name(),
                &Auth::Anonymous,
                None,
                Arc::new(move |event| sink.lock().unwrap().push(event)),
            )
            .await
            .unwrap();
        assert!(outcome.newer);
        assert_eq!(outcome.digest, digest(&manifest));
        assert!(read_layer_file(&store, &outcome.image, "noise").unwrap() == noise);
        assert_eq!(outcome.image.repo_tags, [fake.name().familiar()]);
        let by_digest = format!("{}/x@{}", fake.address, digest(&manifest));
        assert_eq!(outcome.image.repo_digests, std::slice::from_ref(&by_digest));
        assert_eq!(store.resolve(&by_digest).unwrap().id, outcome.image.id);
        let events = events.lock().unwrap();
        let status = format!("Status: Downloaded newer image for {}", fake.name().familiar());
        assert_eq!(*events.last().unwrap(), Progress::Status(status));
        assert!(listing(root.path(), "ingest").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pulled_is_held_until_the_caller_has_it() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let fake = Fake::start().await;
    fake.add_image(&[("a", b"1")]);
    let pulled = store.pull(&fake.name(), &Auth::Anonymous, None, no_progress()).await.unwrap();
    let id = &pulled.image.id;
    store.remove(id.as_str(), true, true, &nobody).unwrap();
    assert!(store.lower_dirs(&pulled.image).is_ok() && store.open_blob(id).is_ok());
    let image = pulled.image.clone();
    drop(pulled);
    store.collect_garbage().unwrap();
    assert!(store.lower_dirs(&image).is_err() && store.open_blob(&image.id).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_pull_fetches_no_layer_and_many_at_once_fetch_one() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let fake = Fake::start().await;
    let (layer, _) = fake.add_image(&[("a", b"1")]);
    let name = fake.name();
    let pulls = (0..20).map(|_| store.pull(&name, &Auth::Anonymous, None, no_progress()));
    for outcome in futures_util::future::join_all(pulls).await {
        assert!(outcome.unwrap().newer);
    }
    let blob = format!("GET /v2/x/blobs/{}", digest(&layer));
    assert_eq!(fake.requests().iter().filter(|request| **request == blob).count(), 1);
    let again = store.pull(&name, &Auth::Anonymous, None, no_progress()).await.unwrap();
    assert!(!again.newer);
    assert!(!fake.requests().contains(&blob));
}

/// Servers render events from a channel, and know by its end that the work is
/// over.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_anything_after_the_end() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let fake = Fake::start().await;
    fake.add_image(&[("a", b"1")]);
    for wanted in [fake.name(), name(&format!("{}/x:missing", fake.address))] {
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let sink: crate::ProgressSink = Arc::new(move |event| drop(sender.send(event)));
        let _ = store.pull(&wanted, &Auth::Anonymous, None, sink).await;
        while events.recv().await.is_some() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_lies_is_refused_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let fake = Fake::start().await;
    let (layer, manifest) = fake.add_image(&[("a", b"1")]);
    let layer_path = format!("/v2/x/blobs/{}", digest(&layer));
    let other = zstd::encode_all(&tar(&[("a", b"2")])[..], 1).unwrap();
    let pull = |name: Reference| {
        let store = store.clone();
        async move {
            let outcome = store.pull(&name, &Auth::Anonymous, None, no_progress()).await;
            outcome.unwrap_err().chain()
        }
    };
    let mut same_length = other.clone();
    same_length.resize(layer.len(), 0);
    for lie in [same_length, [&layer[..], b"x"].concat(), layer[..layer.len() - 1].to_vec()] {
        fake.put(layer_path.clone(), lie);
        let text = pull(fake.name()).await;
        assert!(!text.is_empty());
        assert!(listing(root.path(), "layers").is_empty(), "{text}");
        assert!(listing(root.path(), "ingest").is_empty(), "{text}");
    }
    fake.put(layer_path, layer.clone());
    // Without a size a registry could send for ever.
    let sized = String::from_utf8(manifest.clone()).unwrap();
    let endless = sized.replace(&format!("\"size\":{}", layer.len()), "\"size\":0");
    assert_ne!(endless, sized);
    fake.put("/v2/x/manifests/1".into(), endless.into_bytes());
    let text = pull(fake.name()).await;
    assert!(text.ends_with("is longer than its manifest says"), "{text}");
    let pinned = fake.name().with_digest(digest(b"something else"));
    fake.put(format!("/v2/x/manifests/{}", digest(b"something else")), manifest.clone());
    let text = pull(pinned).await;
    assert!(text.contains("manifest verification failed for digest"), "{text}");
    fake.put("/v2/x/manifests/1".into(), vec![b' '; 5 << 20]);
    assert!(pull(fake.name()).await.contains("too long"));
    fake.put("/v2/x/manifests/1".into(), br#"{"schemaVersion":1}"#.to_vec());
    assert!(pull(fake.name()).await.contains("schema version 1"));
    assert_eq!(store.usage().images, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_images_and_registries_are_named_in_dockers_words() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let fake = Fake::start().await;
    let shown = fake.name().familiar();
    let error = store.pull(&fake.name(), &Auth::Anonymous, None, no_progress()).await.unwrap_err();
    assert_eq!(
        (error.to_string(), error.kind()),
        (
            format!("manifest for {shown} not found: manifest unknown: manifest unknown"),
            Kind::NotFound
        )
    );
    // A port that was free a moment ago.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = name(&format!("{free}/x:1"));
    let error = store.pull(&gone, &Auth::Anonymous, None, no_progress()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Get \"http://{free}/v2/\": dial tcp {free}: connect: connection refused")
    );
    assert_eq!(error.kind(), Kind::Unavailable);
    image(&store, &[&[("a", b"1")]], &[&gone.familiar()], 1);
    let error = store.push(&gone, &Auth::Anonymous, no_progress()).await.unwrap_err();
    assert!(error.to_string().ends_with("connection refused"), "{error}");
    let error = store.push(&name("nope"), &Auth::Anonymous, no_progress()).await.unwrap_err();
    assert_eq!(error.to_string(), "An image does not exist locally with the tag: nope");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_passwords_are_used() {
    use base64::Engine as _;
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let fake = Fake::start().await;
    fake.add_image(&[("a", b"1")]);
    let good = Auth::Basic { username: "ann".into(), password: "secret".into() };
    let bad = Auth::Basic { username: "ann".into(), password: "guess".into() };
    let header =
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("ann:secret"));
    let registry = fake.address.to_string();
    let pull = |auth: Auth| {
        let (store, name) = (store.clone(), fake.name());
        async move { store.pull(&name, &auth, None, no_progress()).await }
    };

    fake.set(|mood| mood.token_for = Some(header.clone()));
    assert!(pull(bad.clone()).await.is_err());
    assert!(pull(Auth::Anonymous).await.is_err());
    assert!(store.login(&registry, &bad).await.is_err());
    store.login(&registry, &good).await.unwrap();
    fake.requests();
    pull(good.clone()).await.unwrap();
    let asked = fake.requests();
    let token = "GET /token?service=fake&scope=repository%3Ax%3Apull";
    assert!(asked.iter().any(|request| request == token), "{asked:?}");
    pull(Auth::RegistryToken("good".into())).await.unwrap();
    pull(Auth::IdentityToken("fresh".into())).await.unwrap();
    assert!(pull(Auth::IdentityToken("stale".into())).await.is_err());

    fake.set(|mood| (mood.token_for, mood.basic) = (None, Some(header)));
    let error = pull(Auth::Anonymous).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("pull access denied for ")
            && text.ends_with("'docker login': no basic auth credentials"),
        "{text}"
    );
    assert_eq!(error.kind(), Kind::NotFound);
    let error = store.login(&registry, &bad).await.unwrap_err();
    assert_eq!(
        (error.to_string(), error.kind()),
        (
            format!("login attempt to http://{registry}/v2/ failed with status: 401 Unauthorized"),
            Kind::Unauthorized
        )
    );
    store.login(&format!("http://{registry}/v2/"), &good).await.unwrap();
    pull(good.clone()).await.unwrap();
    let manifest = store.remote_manifest(&fake.name(), &good).await.unwrap();
    assert_eq!(manifest.platforms, [Platform::host()]);
    assert_eq!(manifest.media_type, "");
}

/// Connections of a TLS server whose certificate nobody vouches for.
struct TlsListener {
    inner: tokio::net::TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.inner.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn loopback_is_spoken_to_by_https_where_it_knows_it() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let fake = Fake::start().await;
    fake.add_image(&[("a", b"1")]);
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let inner = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = inner.local_addr().unwrap();
    let listener = TlsListener { inner, acceptor: Arc::new(tls).into() };
    let router = Router::new().fallback(answer).with_state(fake);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let wanted = name(&format!("{address}/x:1"));
    let pulled = store.pull(&wanted, &Auth::Anonymous, None, no_progress()).await.unwrap();
    assert_eq!(read_layer_file(&store, &pulled.image, "a").unwrap(), b"1");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_platform_is_refused_when_one_was_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let fake = Fake::start().await;
    fake.add_image(&[("a", b"1")]);
    let wanted = Platform::parse("linux/s390x").unwrap();
    let error =
        store.pull(&fake.name(), &Auth::Anonymous, Some(&wanted), no_progress()).await.unwrap_err();
    assert!(error.to_string().contains("does not match the specified platform"), "{error}");
    assert_eq!(error.kind(), Kind::NotFound);
}

/// A registry whose only layer stops in the middle and never goes on; tells
/// when it does.
pub(super) async fn stuck(noise: &[u8]) -> (Fake, SocketAddr, oneshot::Receiver<()>) {
    let fake = Fake::start().await;
    let (layer, _) = fake.add_image(&[("noise", noise)]);
    let stuck = format!("/v2/x/blobs/{}", digest(&layer));
    let half = Bytes::from(layer[..layer.len() / 2].to_vec());
    let (started, wait) = oneshot::channel();
    let started = Arc::new(Mutex::new(Some(started)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let inner = fake.clone();
    let router = Router::new().fallback(move |request: Request| {
        let (inner, half, stuck) = (inner.clone(), half.clone(), stuck.clone());
        let started = started.clone();
        async move {
            if request.uri().path() != stuck {
                return answer(State(inner), request).await;
            }
            if let Some(started) = started.lock().unwrap().take() {
                let _ = started.send(());
            }
            let first = stream::iter([Ok::<_, std::io::Error>(half)]);
            let body = Body::from_stream(first.chain(stream::pending()));
            Response::builder().status(StatusCode::OK).body(body).unwrap()
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (fake, address, wait)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_nobody_waits_for_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (fake, address, wait) = stuck(&[9; 1 << 20]).await;
    let stuck_name = name(&format!("{address}/x:1"));
    {
        let pull = store.pull(&stuck_name, &Auth::Anonymous, None, no_progress());
        tokio::pin!(pull);
        tokio::select! {
            _ = &mut pull => panic!("the pull ended"),
            _ = wait => {}
        }
    }
    // Left alone, the blocking end cleans up.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !listing(root.path(), "ingest").is_empty() {
        assert!(std::time::Instant::now() < deadline, "the ingest stays");
        tokio::task::yield_now().await;
    }
    assert!(listing(root.path(), "layers").is_empty());
    // The same image can be pulled from a registry that works.
    let outcome = store.pull(&fake.name(), &Auth::Anonymous, None, no_progress()).await;
    assert_eq!(outcome.unwrap().image.size, 1 << 20);
}
