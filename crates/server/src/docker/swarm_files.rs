//! `/secrets` and `/configs`: what there is of them can be seen. They cannot be made yet, since
//! no node here could give them to a container.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shoal_model::swarm::{Annotations, Config, Secret};

use super::body;
use super::error::{ApiError, Result};
use super::front::{App, SharedFront};
use super::query::{Filters, Query, only};
use super::swarm_filter::{any_prefix, has_labels};
use super::swarm_spec::render_meta;

/// The routes of secrets and configs.
pub(super) fn routes() -> Router<SharedFront> {
    Router::new()
        .route("/secrets", get(secrets))
        .route("/secrets/create", post(no_secrets))
        .route("/secrets/{id}", get(secret).delete(no_secrets))
        .route("/secrets/{id}/update", post(no_secrets))
        .route("/configs", get(configs))
        .route("/configs/create", post(no_configs))
        .route("/configs/{id}", get(config).delete(no_configs))
        .route("/configs/{id}/update", post(no_configs))
}

async fn secrets(State(front): App, query: Query) -> Result<Response> {
    let filters = read_filters(&query)?;
    let control = front.node.control()?;
    let all: Vec<_> = control.read(|store| store.secrets().cloned().collect()).await?;
    let wanted =
        all.iter().filter(|secret| matches(&filters, secret.id.as_str(), &secret.spec.annotations));
    Ok(body::ok(&wanted.map(|secret| render_secret(secret)).collect()))
}

async fn secret(State(front): App, Path(id): Path<String>) -> Result<Response> {
    let secret = front.node.control()?.read(move |store| store.find_secret(&id)).await??;
    Ok(body::ok(&render_secret(&secret)))
}

async fn configs(State(front): App, query: Query) -> Result<Response> {
    let filters = read_filters(&query)?;
    let control = front.node.control()?;
    let all: Vec<_> = control.read(|store| store.configs().cloned().collect()).await?;
    let wanted =
        all.iter().filter(|config| matches(&filters, config.id.as_str(), &config.spec.annotations));
    Ok(body::ok(&wanted.map(|config| render_config(config)).collect()))
}

async fn config(State(front): App, Path(id): Path<String>) -> Result<Response> {
    let config = front.node.control()?.read(move |store| store.find_config(&id)).await??;
    Ok(body::ok(&render_config(&config)))
}

async fn no_secrets() -> Result<Response> {
    Err(ApiError::unsupported("secrets of the swarm (docker secret)"))
}

async fn no_configs() -> Result<Response> {
    Err(ApiError::unsupported("configs of the swarm (docker config)"))
}

fn read_filters(query: &Query) -> Result<Filters> {
    let filters = query.filters()?;
    only(&filters, &["id", "name", "names", "label"])?;
    Ok(filters)
}

fn matches(filters: &Filters, id: &str, annotations: &Annotations) -> bool {
    let names = filters.get("names");
    any_prefix(filters.get("id"), &[id])
        && any_prefix(filters.get("name"), &[&annotations.name])
        && names.is_none_or(|names| names.is_empty() || names.contains(&annotations.name))
        && has_labels(filters.get("label"), Some(&annotations.labels))
}

/// A secret as Docker shows it: never what is in it.
fn render_secret(secret: &Secret) -> Value {
    let mut document = render_meta(secret.id.as_str(), &secret.meta);
    document["Spec"] = render_annotations(&secret.spec.annotations);
    document
}

fn render_config(config: &Config) -> Value {
    let mut document = render_meta(config.id.as_str(), &config.meta);
    document["Spec"] = render_annotations(&config.spec.annotations);
    document["Spec"]["Data"] = json!(STANDARD.encode(&config.spec.data));
    document
}

fn render_annotations(annotations: &Annotations) -> Value {
    let Annotations { name, labels } = annotations;
    json!({ "Name": name, "Labels": labels })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn filters_choose_by_name_and_label() {
        let annotations = Annotations {
            name: "key".into(),
            labels: BTreeMap::from([("com.docker.stack.namespace".into(), "web".into())]),
        };
        let wanted = |key: &str, value: &str| {
            matches(&Filters::from([(key.into(), vec![value.into()])]), "abc", &annotations)
        };
        assert!(wanted("id", "ab") && wanted("name", "k") && wanted("names", "key"));
        assert!(wanted("label", "com.docker.stack.namespace=web"));
        assert!(!wanted("names", "k") && !wanted("label", "com.docker.stack.namespace=db"));
    }
}
