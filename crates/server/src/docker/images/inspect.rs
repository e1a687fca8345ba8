//! `GET /images/{name}/json`.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use shoal_image::{Image, RunConfig};
use shoal_model::Timestamp;

use super::super::body;
use super::super::error::Result;
use super::super::front::App;
use super::super::query::Query;

/// Everything about one image.
pub(super) async fn inspect(State(front): App, name: &str, query: &Query) -> Result<Response> {
    query.refuse(&["manifests"])?;
    let image = front.images.resolve(name)?;
    Ok(body::ok(&render(&image)))
}

fn render(image: &Image) -> Value {
    let config = &*image.config;
    let layers: Vec<&str> = image.layers.iter().map(|layer| layer.as_str()).collect();
    json!({
        "Id": image.id.as_str(),
        "RepoTags": image.repo_tags,
        "RepoDigests": image.repo_digests,
        "Parent": image.parent.as_ref().map(|id| id.as_str()).unwrap_or_default(),
        "Comment": config.comment,
        "Created": image.created.map(Timestamp::rfc3339_nano),
        "DockerVersion": "",
        "Author": config.author,
        "Config": render_config(&config.config),
        "Architecture": config.architecture,
        "Variant": config.variant,
        "Os": config.os,
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": { "Name": "overlay2", "Data": null },
        "RootFS": { "Type": "layers", "Layers": layers },
        "Metadata": { "LastTagTime": Timestamp::rfc3339_or_zero(image.last_tagged) },
    })
}

/// The run configuration with every member clients look at, set or not.
fn render_config(config: &RunConfig) -> Value {
    let mut document = json!({
        "Hostname": "", "Domainname": "", "User": "",
        "AttachStdin": false, "AttachStdout": false, "AttachStderr": false,
        "Tty": false, "OpenStdin": false, "StdinOnce": false,
        "Env": [], "Cmd": null, "Image": "", "Volumes": null, "WorkingDir": "",
        "Entrypoint": null, "OnBuild": null, "Labels": null,
    });
    if let (Value::Object(document), Ok(Value::Object(set))) =
        (&mut document, serde_json::to_value(config))
    {
        document.extend(set);
    }
    document
}
