//! The registry's protocol, request by request, without a network.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shoal_server::registry::{GarbageOptions, Registry, Users, collect_garbage, router};
use tower::ServiceExt;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and the code of the first error.
    fn error(&self) -> (u16, String) {
        let code = self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), code)
    }
}

/// A registry on a directory of its own.
struct Fixture {
    directory: tempfile::TempDir,
    router: Router,
}

impl Fixture {
    fn new() -> Self {
        Self::with_users(Users::default())
    }

    fn with_users(users: Users) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let router = router(Registry::open(directory.path(), users).unwrap());
        Self { directory, router }
    }

    /// As after a restart.
    fn reopen(&mut self) {
        self.router = Router::new();
        self.router = router(Registry::open(self.directory.path(), Users::default()).unwrap());
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        assert_eq!(parts.headers["docker-distribution-api-version"], "registry/2.0");
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Body::empty()).await
    }

    /// Uploads a blob in one request.
    async fn blob(&self, repository: &str, content: &[u8]) -> String {
        let digest = digest(content);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.send(Method::POST, &path, &[], content.to_vec()).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert_eq!(answer.header("docker-content-digest"), digest);
        assert_eq!(answer.header("location"), format!("/v2/{repository}/blobs/{digest}"));
        digest
    }

    async fn put_manifest(&self, repository: &str, tag: &str, content: &Value) -> Answer {
        let kind = content["mediaType"].as_str().unwrap_or(OCI_MANIFEST);
        let path = format!("/v2/{repository}/manifests/{tag}");
        self.send(Method::PUT, &path, &[("content-type", kind)], content.to_string()).await
    }

    /// An image of a config and one layer.
    async fn image(&self, repository: &str, tag: &str, content: &str) -> String {
        let manifest = self.manifest(repository, content).await;
        let answer = self.put_manifest(repository, tag, &manifest).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        digest(manifest.to_string().as_bytes())
    }

    async fn manifest(&self, repository: &str, content: &str) -> Value {
        let config = self.blob(repository, b"{}").await;
        let layer = self.blob(repository, content.as_bytes()).await;
        json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
            "layers": [{ "mediaType": "x", "digest": layer, "size": content.len() }],
        })
    }
}

fn digest(content: &[u8]) -> String {
    let sum: [u8; 32] = Sha256::digest(content).into();
    shoal_model::Digest::sha256(sum).to_string()
}

#[tokio::test]
async fn what_is_not_the_registry_is_refused_by_code() {
    let registry = Fixture::new();
    assert_eq!(registry.get("/v2/").await.json(), json!({}));
    assert_eq!(registry.get("/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(registry.get("/v2/x/tags/list").await.error(), (404, "NAME_UNKNOWN".into()));
    assert_eq!(registry.get("/v2/X/tags/list").await.error(), (400, "NAME_INVALID".into()));
    assert_eq!(registry.get("/v2/x/manifests/1").await.error(), (404, "MANIFEST_UNKNOWN".into()));
    assert_eq!(registry.get("/v2/x/blobs/sha256:1").await.error(), (400, "DIGEST_INVALID".into()));
    let unknown = format!("/v2/x/blobs/{}", digest(b"unknown"));
    assert_eq!(registry.get(&unknown).await.error(), (404, "BLOB_UNKNOWN".into()));
    let upload = "/v2/x/blobs/uploads/0123456789abcdef0123456789abcdef";
    assert_eq!(registry.get(upload).await.error(), (404, "BLOB_UPLOAD_UNKNOWN".into()));
    let strange = registry.send(Method::POST, "/v2/_catalog", &[], Body::empty()).await;
    assert_eq!(strange.error(), (405, "UNSUPPORTED".into()));
}

#[tokio::test]
async fn blobs_are_read_whole_and_in_parts() {
    let registry = Fixture::new();
    let content = b"0123456789";
    let digest = registry.blob("a/b", content).await;
    let path = format!("/v2/a/b/blobs/{digest}");
    let whole = registry.get(&path).await;
    assert_eq!((whole.status, &whole.body[..]), (StatusCode::OK, &content[..]));
    assert_eq!(whole.header("content-length"), "10");
    let head = registry.send(Method::HEAD, &path, &[], Body::empty()).await;
    assert_eq!((head.status, head.header("content-length")), (StatusCode::OK, "10"));
    assert_eq!(head.header("docker-content-digest"), digest);
    assert!(head.body.is_empty());
    let part = registry.send(Method::GET, &path, &[("range", "bytes=2-4")], Body::empty()).await;
    assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &b"234"[..]));
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    let none = registry.send(Method::GET, &path, &[("range", "bytes=10-")], Body::empty()).await;
    assert_eq!(none.error(), (416, "RANGE_INVALID".into()));
    // Another repository does not have it.
    assert_eq!(registry.get(&path.replace("a/b", "c")).await.error().0, 404);
    let gone = registry.send(Method::DELETE, &path, &[], Body::empty()).await;
    assert_eq!(gone.status, StatusCode::ACCEPTED);
    assert_eq!(registry.get(&path).await.status, StatusCode::NOT_FOUND);
    let again = registry.send(Method::DELETE, &path, &[], Body::empty()).await;
    assert_eq!(again.error(), (404, "BLOB_UNKNOWN".into()));
}

#[tokio::test]
async fn a_directory_is_served_once() {
    let mut registry = Fixture::new();
    let again = Registry::open(registry.directory.path(), Users::default()).err();
    let text = again.expect("refused").to_string();
    assert!(text.starts_with("another process serves the registry in /"), "{text}");
    registry.reopen();
}

#[tokio::test]
async fn an_upload_in_parts_goes_on_where_it_stopped_also_after_a_restart() {
    let mut registry = Fixture::new();
    let begun = registry.send(Method::POST, "/v2/x/blobs/uploads/", &[], Body::empty()).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED);
    assert_eq!(begun.header("range"), "0-0");
    let place = begun.header("location").to_owned();
    assert!(place.ends_with(begun.header("docker-upload-uuid")));
    let ranged = |range: &'static str| vec![("content-range", range)];
    let first = registry.send(Method::PATCH, &place, &ranged("0-3"), "0123").await;
    assert_eq!((first.status, first.header("range")), (StatusCode::ACCEPTED, "0-3"));
    for wrong in ["0-3", "5-8", "nonsense"] {
        let refused = registry.send(Method::PATCH, &place, &ranged(wrong), "4567").await;
        assert_eq!(refused.error(), (416, "RANGE_INVALID".into()), "{wrong}");
        assert_eq!((refused.header("range"), refused.header("location")), ("0-3", place.as_str()));
    }
    registry.reopen();
    let status = registry.get(&place).await;
    assert_eq!((status.status, status.header("range")), (StatusCode::NO_CONTENT, "0-3"));
    let second = registry.send(Method::PATCH, &place, &[], "456").await;
    assert_eq!(second.header("range"), "0-6");
    let end = format!("{place}?digest={}", digest(b"0123456789"));
    let done = registry.send(Method::PUT, &end, &ranged("7-9"), "789").await;
    assert_eq!(done.status, StatusCode::CREATED);
    assert_eq!(registry.get(done.header("location")).await.body, "0123456789");
    assert_eq!(registry.get(&place).await.error(), (404, "BLOB_UPLOAD_UNKNOWN".into()));
    // An id is good in its own repository only.
    let begun = registry.send(Method::POST, "/v2/x/blobs/uploads/", &[], Body::empty()).await;
    let elsewhere = begun.header("location").replace("/v2/x/", "/v2/y/");
    assert_eq!(registry.get(&elsewhere).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_wrong_digest_and_a_cancel_leave_nothing() {
    let registry = Fixture::new();
    let wrong = format!("/v2/x/blobs/uploads/?digest={}", digest(b"other"));
    let refused = registry.send(Method::POST, &wrong, &[], "content").await;
    assert_eq!(refused.error(), (400, "DIGEST_INVALID".into()));
    let begun = registry.send(Method::POST, "/v2/x/blobs/uploads/", &[], Body::empty()).await;
    let place = begun.header("location").to_owned();
    let without = registry.send(Method::PUT, &place, &[], "content").await;
    assert_eq!(without.error(), (400, "DIGEST_INVALID".into()));
    let cancelled = registry.send(Method::DELETE, &place, &[], Body::empty()).await;
    assert_eq!(cancelled.status, StatusCode::NO_CONTENT);
    let uploads = registry.directory.path().join("uploads");
    assert_eq!(std::fs::read_dir(uploads).unwrap().count(), 0);
    let blobs = registry.directory.path().join("blobs/sha256");
    assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 0);
}

#[tokio::test]
async fn a_blob_is_taken_over_from_another_repository() {
    let registry = Fixture::new();
    let digest = registry.blob("from", b"content").await;
    let mount = format!("/v2/to/blobs/uploads/?mount={digest}&from=from");
    let mounted = registry.send(Method::POST, &mount, &[], Body::empty()).await;
    assert_eq!(mounted.status, StatusCode::CREATED);
    assert_eq!(registry.get(&format!("/v2/to/blobs/{digest}")).await.body, "content");
    for unknown in [mount.replace("from=from", "from=none"), mount.replace("&from=from", "")] {
        let begun = registry.send(Method::POST, &unknown, &[], Body::empty()).await;
        let status = if unknown.contains("from=") { begun.status } else { StatusCode::ACCEPTED };
        assert_eq!(status, StatusCode::ACCEPTED);
    }
}

#[tokio::test]
async fn manifests_live_under_tags_and_digests() {
    let mut registry = Fixture::new();
    let first = registry.image("x", "1", "one").await;
    let second = registry.image("x", "1", "two").await;
    let image = registry.get("/v2/x/manifests/1").await;
    assert_eq!(image.header("docker-content-digest"), second);
    assert_eq!(image.header("content-type"), OCI_MANIFEST);
    registry.reopen();
    let by_digest = format!("/v2/x/manifests/{first}");
    let head = registry.send(Method::HEAD, &by_digest, &[], Body::empty()).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_ne!(head.header("content-length"), "0");
    // A tag alone, then a manifest with its tags.
    registry.image("x", "2", "two").await;
    let gone = registry.send(Method::DELETE, "/v2/x/manifests/1", &[], Body::empty()).await;
    assert_eq!(gone.status, StatusCode::ACCEPTED);
    assert_eq!(registry.get("/v2/x/tags/list").await.json()["tags"], json!(["2"]));
    let path = format!("/v2/x/manifests/{second}");
    let gone = registry.send(Method::DELETE, &path, &[], Body::empty()).await;
    assert_eq!(gone.status, StatusCode::ACCEPTED);
    assert_eq!(registry.get("/v2/x/tags/list").await.json()["tags"], json!([]));
    assert_eq!(registry.get("/v2/x/manifests/2").await.status, StatusCode::NOT_FOUND);
    let again = registry.send(Method::DELETE, &path, &[], Body::empty()).await;
    assert_eq!(again.error(), (404, "MANIFEST_UNKNOWN".into()));
    // What no repository holds goes with the next start.
    let blob =
        registry.directory.path().join("blobs/sha256").join(&second[7..9]).join(&second[7..]);
    assert!(blob.exists());
    registry.reopen();
    assert!(!blob.exists());
    assert_eq!(registry.get(&by_digest).await.status, StatusCode::OK);
}

#[tokio::test]
async fn manifests_are_checked() {
    let registry = Fixture::new();
    let good = registry.manifest("x", "content").await;
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        manifest
    };
    let missing = digest(b"missing");
    for (manifest, status, code) in [
        (changed(&|m| m["layers"][0]["digest"] = json!(missing)), 404, "MANIFEST_BLOB_UNKNOWN"),
        (changed(&|m| m["config"]["digest"] = json!(missing)), 404, "MANIFEST_BLOB_UNKNOWN"),
        (changed(&|m| m["layers"][0]["digest"] = json!("sha256:..")), 400, "MANIFEST_INVALID"),
        (changed(&|m| m["schemaVersion"] = json!(1)), 400, "MANIFEST_INVALID"),
        (changed(&|m| m["mediaType"] = json!("text/html")), 400, "MANIFEST_INVALID"),
        (changed(&|m| m["manifests"] = json!([])), 400, "MANIFEST_INVALID"),
        (
            json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{ "digest": missing }] }),
            404,
            "MANIFEST_BLOB_UNKNOWN",
        ),
        (json!([]), 400, "MANIFEST_INVALID"),
    ] {
        let answer = registry.put_manifest("x", "1", &manifest).await;
        assert_eq!(answer.error(), (status, code.into()), "{manifest}");
    }
    let kind = [("content-type", OCI_INDEX)];
    let other = registry.send(Method::PUT, "/v2/x/manifests/1", &kind, good.to_string()).await;
    assert_eq!(other.error(), (400, "MANIFEST_INVALID".into()));
    let wrong = format!("/v2/x/manifests/{missing}");
    let refused = registry.send(Method::PUT, &wrong, &[], good.to_string()).await;
    assert_eq!(refused.error(), (400, "DIGEST_INVALID".into()));
    let long = vec![b' '; (4 << 20) + 1];
    let refused = registry.send(Method::PUT, "/v2/x/manifests/1", &[], long).await;
    assert_eq!(refused.error(), (413, "MANIFEST_INVALID".into()));
    assert_eq!(registry.get("/v2/x/manifests/1").await.status, StatusCode::NOT_FOUND);
    let right = format!("/v2/x/manifests/{}", digest(good.to_string().as_bytes()));
    let kept = registry.send(Method::PUT, &right, &[], good.to_string()).await;
    assert_eq!(kept.status, StatusCode::CREATED);
    assert_eq!(registry.get("/v2/x/tags/list").await.json()["tags"], json!([]));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let registry = Fixture::new();
    for tag in ["b", "a", "d", "c", "e"] {
        registry.image("x", tag, "content").await;
    }
    for name in ["z", "team/app", "team"] {
        registry.image(name, "1", "content").await;
    }
    let mut path = "/v2/x/tags/list?n=2".to_owned();
    let mut found = Vec::new();
    loop {
        let page = registry.get(&path).await;
        found.push(page.json()["tags"].clone());
        let link = page.header("link");
        if link.is_empty() {
            break;
        }
        let (target, relation) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
        assert_eq!(relation, "; rel=\"next\"");
        path = target.to_owned();
    }
    assert_eq!(found, [json!(["a", "b"]), json!(["c", "d"]), json!(["e"])]);
    let all = registry.get("/v2/_catalog").await;
    assert_eq!(all.json(), json!({ "repositories": ["team", "team/app", "x", "z"] }));
    let rest = registry.get("/v2/_catalog?last=team%2Fapp&n=1").await;
    assert_eq!(rest.json()["repositories"], json!(["x"]));
    assert!(rest.header("link").contains("last=x&n=1"));
    assert_eq!(registry.get("/v2/x/tags/list?n=0").await.json()["tags"], json!([]));
    for wrong in ["n=-1", "n=x", "n=99999999"] {
        let answer = registry.get(&format!("/v2/_catalog?{wrong}")).await;
        assert_eq!(answer.error(), (400, "PAGINATION_NUMBER_INVALID".into()));
    }
}

#[tokio::test]
async fn referrers_are_listed() {
    let registry = Fixture::new();
    let subject = registry.image("x", "1", "content").await;
    let list = format!("/v2/x/referrers/{subject}");
    assert_eq!(registry.get(&list).await.json()["manifests"], json!([]));
    let mut made = Vec::new();
    for kind in ["sbom", "signature"] {
        let mut manifest = registry.manifest("x", kind).await;
        manifest["artifactType"] = json!(kind);
        manifest["annotations"] = json!({ "a": kind });
        manifest["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": subject, "size": 1 });
        let digest = digest(manifest.to_string().as_bytes());
        let answer = registry.put_manifest("x", &digest, &manifest).await;
        assert_eq!(answer.header("oci-subject"), subject);
        made.push(digest);
    }
    let all = registry.get(&list).await;
    assert_eq!(all.header("content-type"), OCI_INDEX);
    assert_eq!(all.json()["manifests"].as_array().unwrap().len(), 2);
    let some = registry.get(&format!("{list}?artifactType=sbom")).await;
    assert_eq!(some.header("oci-filters-applied"), "artifactType");
    let found = &some.json()["manifests"];
    assert_eq!((&found[0]["digest"], found.as_array().unwrap().len()), (&json!(made[0]), 1));
    assert_eq!(found[0]["annotations"], json!({ "a": "sbom" }));
    let path = format!("/v2/x/manifests/{}", made[0]);
    registry.send(Method::DELETE, &path, &[], Body::empty()).await;
    assert_eq!(registry.get(&list).await.json()["manifests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn users_must_say_who_they_are() {
    let mut users = Users::default();
    users.add("ann", "secret");
    let registry = Fixture::with_users(users);
    let refused = registry.get("/v2/").await;
    assert_eq!(refused.error(), (401, "UNAUTHORIZED".into()));
    assert!(refused.header("www-authenticate").starts_with("Basic realm="));
    // base64 of ann:secret
    let good = [("authorization", "Basic YW5uOnNlY3JldA==")];
    assert_eq!(registry.send(Method::GET, "/v2/", &good, Body::empty()).await.status, 200);
    let begin = "/v2/x/blobs/uploads/";
    assert_eq!(registry.send(Method::POST, begin, &[], Body::empty()).await.status, 401);
    assert_eq!(registry.send(Method::POST, begin, &good, Body::empty()).await.status, 202);
}

#[tokio::test]
async fn errors_say_what_they_are_about() {
    let registry = Fixture::new();
    let digest = digest(b"unknown");
    for (path, code, detail) in [
        ("/v2/a/b/manifests/zz".to_owned(), "MANIFEST_UNKNOWN", json!({ "Tag": "zz" })),
        (
            format!("/v2/a/b/manifests/{digest}"),
            "MANIFEST_UNKNOWN",
            json!({ "Name": "a/b", "Revision": digest }),
        ),
        (format!("/v2/a/b/blobs/{digest}"), "BLOB_UNKNOWN", json!(digest)),
        ("/v2/a/b/tags/list".to_owned(), "NAME_UNKNOWN", json!({ "name": "a/b" })),
    ] {
        let answer = registry.get(&path).await;
        assert_eq!(answer.error(), (404, code.to_owned()), "{path}");
        assert_eq!(answer.json()["errors"][0]["detail"], detail, "{path}");
    }
    let users = Users::parse(&Users::line("ann", "secret")).unwrap();
    let closed = Fixture::with_users(users);
    let refused = closed.get("/v2/a/b/tags/list").await;
    let access = json!([{ "Type": "repository", "Class": "", "Name": "a/b", "Action": "pull" }]);
    assert_eq!(refused.json()["errors"][0]["detail"], access);
    let base = closed.get("/v2/").await;
    assert_eq!(base.json()["errors"][0].get("detail"), None);
}

#[tokio::test]
async fn what_no_manifest_names_is_collected_while_nobody_serves() {
    let mut registry = Fixture::new();
    let root = registry.directory.path().to_owned();
    let options = GarbageOptions { dry_run: true, untagged: false, upload_age: Duration::ZERO };
    registry.image("a", "1", "one").await;
    let old = registry.image("a", "2", "two").await;
    registry.image("a", "2", "three").await;
    let orphan = registry.blob("a", b"orphan").await;
    registry.send(Method::POST, "/v2/a/blobs/uploads/", &[], Body::empty()).await;
    let error = collect_garbage(&root, &options).unwrap_err();
    assert!(error.to_string().contains("another process serves"), "{error}");

    registry.router = Router::new();
    let seen = collect_garbage(&root, &options).unwrap();
    assert_eq!((&seen.blobs[..], &seen.uploads[..]), (&[(orphan.clone(), 6)][..], &[0][..]));
    assert_eq!(collect_garbage(&root, &options).unwrap(), seen, "a dry run takes nothing");
    let options = GarbageOptions { dry_run: false, ..options };
    assert_eq!(collect_garbage(&root, &options).unwrap(), seen);
    assert_eq!(collect_garbage(&root, &options).unwrap().bytes(), 0);
    let options = GarbageOptions { untagged: true, ..options };
    let taken = collect_garbage(&root, &options).unwrap();
    assert_eq!(taken.manifests, [("a".to_owned(), old.clone())]);
    let mut blobs: Vec<String> = taken.blobs.into_iter().map(|(digest, _)| digest).collect();
    blobs.sort();
    let mut expected = vec![old.clone(), digest(b"two")];
    expected.sort();
    assert_eq!(blobs, expected);

    registry.reopen();
    for (path, status) in [
        ("/v2/a/manifests/1".to_owned(), 200),
        ("/v2/a/manifests/2".to_owned(), 200),
        (format!("/v2/a/blobs/{}", digest(b"one")), 200),
        (format!("/v2/a/blobs/{}", digest(b"three")), 200),
        (format!("/v2/a/blobs/{}", digest(b"{}")), 200),
        (format!("/v2/a/manifests/{old}"), 404),
        (format!("/v2/a/blobs/{orphan}"), 404),
    ] {
        assert_eq!(registry.get(&path).await.status.as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn an_index_keeps_its_parts_and_a_manifest_what_is_about_it() {
    let mut registry = Fixture::new();
    let root = registry.directory.path().to_owned();
    let part = registry.image("a", "part", "one").await;
    let mut about = registry.manifest("a", "signature").await;
    about["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": part, "size": 1 });
    let about_digest = digest(about.to_string().as_bytes());
    registry.put_manifest("a", &about_digest, &about).await;
    let index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [{ "mediaType": OCI_MANIFEST, "digest": part, "size": 1 }],
    });
    assert_eq!(registry.put_manifest("a", "all", &index).await.status, StatusCode::CREATED);
    registry.send(Method::DELETE, "/v2/a/manifests/part", &[], Body::empty()).await;
    let options =
        GarbageOptions { dry_run: false, untagged: true, upload_age: Duration::from_hours(1) };
    registry.router = Router::new();
    let taken = collect_garbage(&root, &options).unwrap();
    assert_eq!((taken.manifests.len(), taken.bytes()), (0, 0));

    // What cannot be read may need anything.
    let hex = part.trim_start_matches("sha256:");
    std::fs::write(root.join("blobs/sha256").join(&hex[..2]).join(hex), "{").unwrap();
    let error = collect_garbage(&root, &options).unwrap_err().to_string();
    assert!(error.starts_with("nothing was removed: the manifest sha256:"), "{error}");
    let nowhere = collect_garbage(&root.join("nowhere"), &options).unwrap_err();
    assert!(nowhere.to_string().starts_with("there is no registry in "), "{nowhere}");
}
