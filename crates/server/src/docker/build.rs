//! `/build`: the classic builder.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use futures_util::{Stream, StreamExt, stream};
use http::HeaderMap;
use serde_json::{Value, json};
use shoal_build::render::{Line, Renderer};
use shoal_build::{Build, BuildRequest, Context, ContextLimits, Event};
use shoal_engine::events::ObjectType;
use shoal_model::{Digest, Reference};
use tokio::sync::mpsc;

use super::body;
use super::build_cache;
use super::builder::BuildAuth;
use super::error::{ApiError, Result};
use super::front::{App, SharedFront};
use super::images::{checked, read_platform};
use super::progress;
use super::query::Query;
use super::registry_auth;
use super::upload::Upload;

/// Events of a build that may wait for a slow client; then the build waits.
const EVENTS: usize = 256;

/// The routes of builds.
pub(super) fn routes() -> Router<SharedFront> {
    Router::new().route("/build", post(build)).route("/build/prune", post(build_cache::prune))
}

async fn build(
    State(front): App,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    // Before anything is refused, so that the client hears it.
    let reader = Upload::new(body, &front.tasks);
    let request = read_request(&query)?;
    let auth = BuildAuth(registry_auth::all_from_headers(&headers)?);
    let quiet = query.flag("q");
    let build = front
        .blocking(move |front| {
            let under = front.about.root.join("tmp");
            let context = Context::receive(reader, &under, &ContextLimits::default())?;
            shoal_build::prepare(context, request)
        })
        .await?;
    Ok(body::lines(run(&front, build, auth, quiet)))
}

/// The lines of a build; dropping them cancels it.
fn run(
    front: &SharedFront,
    build: Build,
    auth: BuildAuth,
    quiet: bool,
) -> impl Stream<Item = Value> + Send + use<> {
    let (sender, receiver) = mpsc::channel(EVENTS);
    let solving = front.builder.solve(build, auth, sender);
    let shown = Shown { front: front.clone(), renderer: Renderer::new(quiet), built: None };
    let begin = (receiver, shown, Some(solving));
    let lines = stream::unfold(begin, |(mut events, mut shown, solving)| async move {
        let mut solving = solving?;
        let event = tokio::select! {
            biased;
            Some(event) = events.recv() => Some(event),
            done = &mut solving => {
                let mut lines = Vec::new();
                while let Ok(event) = events.try_recv() {
                    lines.extend(shown.event(&event));
                }
                if let Err(error) = done {
                    lines.extend(shown.renderer.error(&error));
                }
                return Some((lines, (events, shown, None)));
            }
        };
        let lines = event.map(|event| shown.event(&event)).unwrap_or_default();
        Some((lines, (events, shown, Some(solving))))
    });
    lines.flat_map(|lines| stream::iter(lines.into_iter().map(|line| render_line(&line))))
}

/// What a build tells its client, and the listeners of `events`.
struct Shown {
    front: SharedFront,
    renderer: Renderer,
    built: Option<Digest>,
}

impl Shown {
    fn event(&mut self, event: &Event) -> Vec<Line> {
        match (event, &self.built) {
            (Event::Built(id), _) => self.built = Some(id.clone()),
            (Event::Tagged(name), Some(id)) => {
                self.front.tell(
                    ObjectType::Image,
                    "tag",
                    id.as_str(),
                    &[("name", name.familiar())],
                );
            }
            _ => {}
        }
        self.renderer.event(event)
    }
}

fn render_line(line: &Line) -> Value {
    match line {
        Line::Pull(event) => progress::render(event),
        other => {
            other.to_json().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(json!({}))
        }
    }
}

fn read_request(query: &Query) -> Result<BuildRequest> {
    refuse(query)?;
    let tags = query.all("t").filter(|tag| !tag.is_empty()).map(read_tag).collect::<Result<_>>()?;
    let given = |key: &str| query.get(key).map(str::to_owned);
    Ok(BuildRequest {
        dockerfile: given("dockerfile").unwrap_or_else(|| "Dockerfile".to_owned()),
        tags,
        build_args: read_json(query, "buildargs")?,
        labels: read_json(query, "labels")?,
        target: given("target"),
        platform: query.get("platform").map(read_platform).transpose()?,
        no_cache: query.flag("nocache"),
        cache_from: read_json(query, "cachefrom")?,
        pull: query.flag("pull"),
        network: given("networkmode").unwrap_or_else(|| "default".to_owned()),
        extra_hosts: query
            .all("extrahosts")
            .flat_map(|hosts| hosts.split(','))
            .filter(|host| !host.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

/// `forcerm` needs no word here: intermediate containers never stay. That they
/// are to stay is refused where somebody asks for it: the docker CLI sends
/// `rm=0` for `--rm=false` only, while docker-py sends `rm=False` by itself.
fn refuse(query: &Query) -> Result<()> {
    if query.get("version") == Some("2") {
        return Err(ApiError::unsupported(
            "building with BuildKit (version=2; set DOCKER_BUILDKIT=0 for the classic builder)",
        ));
    }
    query.refuse(&["squash", "outputs"])?;
    if query.get("rm") == Some("0") && !query.flag("forcerm") {
        return Err(ApiError::unsupported("keeping the containers of a build (--rm=false, rm=0)"));
    }
    if let Some(isolation) = query.get("isolation").filter(|name| *name != "default") {
        return Err(ApiError::invalid(format!("Unsupported isolation: {isolation:?}")));
    }
    if query.get("remote").is_some() {
        return Err(ApiError::unsupported("a build context from a URL (remote)"));
    }
    let limits = ["memory", "memswap", "cpushares", "cpuperiod", "cpuquota", "shmsize"];
    for key in limits {
        if query.int(key)?.is_some_and(|value| value != 0) {
            return Err(ApiError::unsupported(format!("limiting a build (the parameter {key:?})")));
        }
    }
    for key in ["cpusetcpus", "cpusetmems", "cgroupparent", "securityopt", "ulimits"] {
        if query.get(key).is_some_and(|value| !matches!(value, "null" | "[]")) {
            return Err(ApiError::unsupported(format!("limiting a build (the parameter {key:?})")));
        }
    }
    Ok(())
}

fn read_tag(tag: &str) -> Result<Reference> {
    checked(Reference::parse(tag)?.with_default_tag())
}

fn read_json<T: serde::de::DeserializeOwned + Default>(query: &Query, key: &str) -> Result<T> {
    let Some(text) = query.get(key) else { return Ok(T::default()) };
    let value: Option<T> = serde_json::from_str(text)
        .map_err(|error| ApiError::invalid(format!("invalid build parameter {key:?}: {error}")))?;
    Ok(value.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cli_sends_is_understood() {
        let query = Query::parse(
            "buildargs=%7B%22A%22%3A%22b%22%2C%22C%22%3Anull%7D&cachefrom=%5B%22a%22%5D&cgroupparent=&cpuperiod=0\
             &cpuquota=0&cpusetcpus=&cpusetmems=&cpushares=0&dockerfile=Dockerfile&labels=%7B%7D\
             &memory=0&memswap=0&networkmode=default&rm=1&shmsize=0&t=x%3A1&target=&ulimits=null&version=1",
        );
        let request = read_request(&query).expect("a request");
        assert_eq!(request.build_args["A"].as_deref(), Some("b"));
        assert_eq!(request.build_args["C"], None);
        assert_eq!(request.tags[0].familiar(), "x:1");
        assert_eq!(request.target, None);
        assert_eq!(request.cache_from, ["a"]);
    }

    #[test]
    fn what_shoal_has_not_is_refused_by_name() {
        for (query, name) in [
            ("version=2", "BuildKit"),
            ("memory=5", "memory"),
            ("remote=https%3A%2F%2Fx", "remote"),
            ("ulimits=%5B%7B%22Name%22%3A%22nofile%22%7D%5D", "ulimits"),
            ("squash=1", "squash"),
            ("rm=0", "--rm=false"),
            ("isolation=hyperv", "hyperv"),
        ] {
            let error = read_request(&Query::parse(query)).expect_err(name);
            assert!(error.message().contains(name), "{}", error.message());
        }
        assert!(read_request(&Query::parse("t=UPPER")).is_err());
        for query in ["rm=False", "rm=0&forcerm=1", "isolation=default"] {
            read_request(&Query::parse(query)).expect(query);
        }
    }
}
