//! `GET /system/df`.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use shoal_engine::domain::{ListFilter, VolumeFilter};
use shoal_image::{Image, ListFilter as ImageFilter};
use shoal_model::Digest;

use super::super::body;
use super::super::error::{ApiError, Result};
use super::super::front::App;
use super::super::{build_cache, containers, images, volumes};

/// The disk space everything uses.
pub(super) async fn disk_use(State(front): App) -> Result<Response> {
    let (images, usage, cache) = front
        .blocking(|front| {
            let all = ImageFilter { all: true, ..ImageFilter::default() };
            let images = front.images.list(&all)?;
            Ok::<_, ApiError>((images, front.images.usage(), front.builder.cache()?))
        })
        .await?;
    let users = front.engine.containers();
    let counts = images_of_layers(&images);
    let own_cache = cache.iter().filter(|record| !record.shared);
    let render_image = |image: &Image| {
        let mut entry = images::render_entry(image);
        entry["Containers"] = json!(users.users_of_image(&image.id).len());
        let shared = image.layers.iter().filter(|layer| counts.get(layer).is_some_and(|n| *n > 1));
        let layers = shared.filter_map(|layer| front.images.layer(layer));
        let shared: u64 = layers.map(|layer| layer.size).sum();
        entry["SharedSize"] = json!(shared);
        entry
    };
    let volumes = front.engine.volumes().list(&VolumeFilter::default());
    let render_volume = |volume: &shoal_engine::domain::Volume| {
        let mut entry = volumes::render(volume);
        let users = front.engine.volumes().user_count(&volume.name);
        // Not measured: -1 is Docker's word for that.
        entry["UsageData"] = json!({ "Size": -1, "RefCount": users });
        entry
    };
    Ok(body::ok(&json!({
        // What only the build cache holds is told with it.
        "LayersSize": usage.layers_bytes.saturating_sub(usage.unreferenced_bytes),
        "Images": images.iter().map(render_image).collect::<Vec<_>>(),
        "Containers": container_entries(&front).await?,
        "Volumes": volumes.iter().map(render_volume).collect::<Vec<_>>(),
        "BuildCache": cache.iter().map(build_cache::render).collect::<Vec<_>>(),
        "BuilderSize": own_cache.map(|record| record.size).sum::<u64>(),
    })))
}

/// In how many images each layer is.
fn images_of_layers(images: &[Image]) -> HashMap<&Digest, usize> {
    let mut counts = HashMap::new();
    for layer in images.iter().flat_map(|image| &image.layers) {
        *counts.entry(layer).or_default() += 1;
    }
    counts
}

async fn container_entries(front: &super::super::front::Front) -> Result<Vec<Value>> {
    let all = ListFilter { all: true, ..ListFilter::default() };
    let mut entries = Vec::new();
    for summary in front.engine.containers().list(&all)? {
        let mut entry = containers::render_entry(&summary);
        if let Ok(size) = front.engine.containers().disk_use(summary.id.as_str()).await {
            entry["SizeRw"] = json!(size.written_bytes);
            entry["SizeRootFs"] = json!(size.total_bytes);
        }
        entries.push(entry);
    }
    Ok(entries)
}
