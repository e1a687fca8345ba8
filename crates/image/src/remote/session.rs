//! Speaking with one registry about one repository.

use std::time::Instant;

use http::{HeaderMap, Method, header};
use sha2::{Digest as _, Sha256};
use shoal_model::{Digest, Reference};
use tokio::sync::Mutex;

use super::{
    Auth, RemoteError,
    auth::{Challenge, Token, fetch_token},
    error,
};
use crate::manifest::{ACCEPTED, MAX_MANIFEST_BYTES};

/// Most pages of a list of tags; with Docker's 100 and others' 1000 per page
/// this is more than anybody has.
const MAX_PAGES: u32 = 1000;
/// Longest page.
const MAX_PAGE_BYTES: usize = 4 << 20;
/// Most tags of a repository.
const MAX_TAGS: usize = 200_000;

/// A repository at its registry.
pub(crate) struct Session {
    pub(super) client: reqwest::Client,
    /// `https://host:port`.
    pub(super) base: String,
    /// Path of the repository.
    pub(super) path: String,
    auth: Auth,
    challenge: Challenge,
    scopes: Vec<String>,
    token: Mutex<Option<Token>>,
}

/// A manifest as it came.
pub(crate) struct FetchedManifest {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
}

impl Session {
    pub(super) fn new(
        client: reqwest::Client,
        base: String,
        name: &Reference,
        auth: Auth,
        challenge: Challenge,
        scopes: Vec<String>,
    ) -> Self {
        let path = name.path().to_owned();
        Self { client, base, path, auth, challenge, scopes, token: Mutex::new(None) }
    }

    /// What a token must allow for reading.
    pub(crate) fn pull_scope(name: &Reference) -> String {
        format!("repository:{}:pull", name.path())
    }

    /// What a token must allow for writing.
    pub(crate) fn push_scope(name: &Reference) -> String {
        format!("repository:{}:pull,push", name.path())
    }

    /// A manifest or index by tag or digest. The sum of its bytes must be the
    /// digest asked for, and the one the registry claims.
    pub(crate) async fn manifest(
        &self,
        tag_or_digest: &str,
    ) -> Result<FetchedManifest, RemoteError> {
        let url = self.url(&format!("manifests/{tag_or_digest}"));
        let response = self
            .send(Method::GET, &url, |request| request.header(header::ACCEPT, ACCEPTED.join(", ")))
            .await?;
        let media_type = text(response.headers(), "content-type");
        let claimed = text(response.headers(), "docker-content-digest");
        let bytes = error::limited(response, MAX_MANIFEST_BYTES as usize).await?;
        let digest = Digest::sha256(Sha256::digest(&bytes).into());
        let wanted = [tag_or_digest, &claimed];
        for expected in wanted.iter().filter_map(|text| text.parse::<Digest>().ok()) {
            if expected != digest {
                return Err(RemoteError::Protocol(format!(
                    "manifest verification failed for digest {expected}"
                )));
            }
        }
        Ok(FetchedManifest { bytes, digest, media_type })
    }

    /// A blob from `offset` on. A registry that knows no ranges answers with
    /// the whole: look at the status.
    pub(crate) async fn blob(
        &self,
        digest: &Digest,
        offset: u64,
    ) -> Result<reqwest::Response, RemoteError> {
        let url = self.url(&format!("blobs/{digest}"));
        self.send(Method::GET, &url, |request| match offset {
            0 => request,
            _ => request.header(header::RANGE, format!("bytes={offset}-")),
        })
        .await
    }

    /// A blob that must not be longer than `limit` bytes, whole.
    pub(crate) async fn document(
        &self,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<u8>, RemoteError> {
        error::limited(self.blob(digest, 0).await?, limit).await
    }

    /// Whether the repository has a blob.
    pub(crate) async fn has_blob(&self, digest: &Digest) -> Result<bool, RemoteError> {
        let url = self.url(&format!("blobs/{digest}"));
        match self.send(Method::HEAD, &url, |request| request).await {
            Ok(_) => Ok(true),
            Err(RemoteError::Refused { status: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest under a tag; the registry's digest for it.
    pub(crate) async fn put_manifest(
        &self,
        tag: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), RemoteError> {
        let url = self.url(&format!("manifests/{tag}"));
        let body = bytes::Bytes::copy_from_slice(bytes);
        self.send(Method::PUT, &url, |request| {
            request.header(header::CONTENT_TYPE, media_type).body(body.clone())
        })
        .await?;
        Ok(())
    }

    /// All tags of the repository.
    pub(crate) async fn tags(&self) -> Result<Vec<String>, RemoteError> {
        #[derive(serde::Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut url = self.url("tags/list");
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let response = self.send(Method::GET, &url, |request| request).await?;
            let next = next_page(response.url(), response.headers());
            let bytes = error::limited(response, MAX_PAGE_BYTES).await?;
            let page: Page = serde_json::from_slice(&bytes)
                .map_err(|_| RemoteError::Protocol(format!("{url} gave no list of tags")))?;
            found.extend(page.tags.unwrap_or_default());
            if found.len() > MAX_TAGS {
                break;
            }
            match next {
                Some(next) => url = next,
                None => return Ok(found),
            }
        }
        Err(RemoteError::Protocol(format!("{}: too many tags", self.path)))
    }

    /// Asks for nothing in particular, to see whether the credentials are good.
    pub(crate) async fn check(&self) -> Result<(), RemoteError> {
        let url = format!("{}/v2/", self.base);
        match self.send(Method::GET, &url, |request| request).await {
            Ok(_) => Ok(()),
            Err(RemoteError::Unauthorized(_)) => Err(RemoteError::Unauthorized(format!(
                "login attempt to {url} failed with status: 401 Unauthorized"
            ))),
            Err(error) => Err(error),
        }
    }

    pub(super) fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.base, self.path)
    }

    /// Sends a request that may be repeated, and turns a refusal into an error.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        build: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, RemoteError> {
        let verb = verb(&method);
        let mut renewed = false;
        loop {
            let mut request = build(self.client.request(method.clone(), url));
            if let Some(header) = self.authorization(url).await? {
                request = request.header(header::AUTHORIZATION, header);
            }
            let response = error::answer(verb, url, request).await?;
            if response.status().as_u16() == 401
                && !renewed
                && self.token.lock().await.take().is_some()
            {
                renewed = true;
                continue;
            }
            return self.accept(response).await;
        }
    }

    pub(super) async fn accept(
        &self,
        response: reqwest::Response,
    ) -> Result<reqwest::Response, RemoteError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.as_u16() == 401 {
            let anonymous = self.auth == Auth::Anonymous;
            match self.challenge {
                Challenge::Basic if anonymous => {
                    return Err(RemoteError::Unauthorized("no basic auth credentials".into()));
                }
                // The token was good, and not for this.
                Challenge::Bearer { .. } => {
                    return Err(RemoteError::Refused {
                        code: "denied".into(),
                        message: "requested access to the resource is denied".into(),
                        status: 403,
                    });
                }
                _ => {}
            }
        }
        Err(error::refused(response).await)
    }

    /// The header for a request to `url`. Only the registry itself gets one:
    /// it may send us elsewhere for bytes, but not with our credentials.
    pub(super) async fn authorization(&self, url: &str) -> Result<Option<String>, RemoteError> {
        let ours = url.strip_prefix(&self.base).is_some_and(|rest| rest.starts_with('/'));
        if !ours {
            return Ok(None);
        }
        let (realm, service) = match (&self.auth, &self.challenge) {
            (_, Challenge::None) => return Ok(None),
            (Auth::RegistryToken(token), _) => return Ok(Some(format!("Bearer {token}"))),
            (auth, Challenge::Basic) => return Ok(auth.basic()),
            (_, Challenge::Bearer { realm, service }) => (realm, service),
        };
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| token.until > Instant::now()) {
            return Ok(Some(token.header.clone()));
        }
        let fresh = fetch_token(&self.client, realm, service, &self.scopes, &self.auth).await?;
        let header = fresh.header.clone();
        *token = Some(fresh);
        Ok(Some(header))
    }
}

/// Go's spelling, in which Docker's errors quote requests.
pub(super) fn verb(method: &Method) -> &'static str {
    match *method {
        Method::HEAD => "Head",
        Method::POST => "Post",
        Method::PUT => "Put",
        Method::PATCH => "Patch",
        _ => "Get",
    }
}

pub(super) fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// `Link: </v2/…>; rel="next"`, which must stay on the same registry.
fn next_page(page: &reqwest::Url, headers: &HeaderMap) -> Option<String> {
    let link = text(headers, "link");
    let target = link.strip_prefix('<')?.split_once('>')?.0;
    let next = page.join(target).ok()?;
    (next.origin() == page.origin()).then(|| next.to_string())
}
