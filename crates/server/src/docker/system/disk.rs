//! `GET /system/df`.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use shoal_engine::domain::{ListFilter, VolumeFilter};
use shoal_image::ListFilter as ImageFilter;

use super::super::body;
use super::super::error::Result;
use super::super::front::App;
use super::super::{containers, images, volumes};

/// The disk space everything uses.
pub(super) async fn disk_use(State(front): App) -> Result<Response> {
    let (images, usage) = front
        .blocking(|front| {
            let all = ImageFilter { all: true, ..ImageFilter::default() };
            Ok::<_, shoal_image::Error>((front.images.list(&all)?, front.images.usage()))
        })
        .await?;
    let users = front.engine.containers();
    let render_image = |image: &shoal_image::Image| {
        let mut entry = images::render_entry(image);
        entry["Containers"] = json!(users.users_of_image(&image.id).len());
        entry["SharedSize"] = json!(0);
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
        "LayersSize": usage.layers_bytes,
        "Images": images.iter().map(render_image).collect::<Vec<_>>(),
        "Containers": container_entries(&front).await?,
        "Volumes": volumes.iter().map(render_volume).collect::<Vec<_>>(),
        "BuildCache": [],
        "BuilderSize": usage.unreferenced_bytes,
    })))
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
