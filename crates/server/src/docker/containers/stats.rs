//! `GET /containers/{id}/stats` and `/top`.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::stream;
use serde_json::{Map, Value, json};
use shoal_engine::Containers;
use shoal_engine::domain::{NetworkCounters, Stats};
use shoal_model::Timestamp;

use super::super::body;
use super::super::error::Result;
use super::super::front::App;
use super::super::query::Query;

/// Time between two readings; docker's percentages are the difference of two.
const INTERVAL: Duration = Duration::from_secs(1);

/// The processes of a container.
pub(crate) async fn top(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let table =
        front.engine.containers().top(&id, query.get("ps_args").unwrap_or_default()).await?;
    Ok(body::ok(&json!({ "Titles": table.titles, "Processes": table.processes })))
}

/// What a container uses: once, or every second.
pub(crate) async fn stats(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let containers = front.engine.containers().clone();
    let view = containers.inspect(&id)?;
    let name = (view.id.as_str().to_owned(), view.name);
    let first = containers.stats(&id).await?;
    if query.flag_or("stream", true) {
        let stop = front.stop.clone();
        let states = (containers, name, None::<Stats>, Some(first));
        let readings = stream::unfold(states, move |(containers, name, before, ready)| {
            let stop = stop.clone();
            async move {
                let now = match ready {
                    Some(now) => now,
                    None => next(&containers, &name.0, &stop).await?,
                };
                let document = render(&name, &now, before.as_ref());
                Some((document, (containers, name, Some(now), None)))
            }
        });
        return Ok(body::lines(readings));
    }
    if query.flag("one-shot") {
        return Ok(body::ok(&render(&name, &first, None)));
    }
    tokio::time::sleep(INTERVAL).await;
    let second = containers.stats(&id).await?;
    Ok(body::ok(&render(&name, &second, Some(&first))))
}

async fn next(
    containers: &Containers,
    id: &str,
    stop: &tokio_util::sync::CancellationToken,
) -> Option<Stats> {
    tokio::select! {
        () = tokio::time::sleep(INTERVAL) => containers.stats(id).await.ok(),
        () = stop.cancelled() => None,
    }
}

fn render((id, name): &(String, String), now: &Stats, before: Option<&Stats>) -> Value {
    let none = Stats::default();
    let before = before.unwrap_or(&none);
    let mut document = json!({
        "id": id,
        "name": format!("/{name}"),
        "read": Timestamp::rfc3339_or_zero(now.read_at),
        "preread": Timestamp::rfc3339_or_zero(before.read_at),
        "num_procs": 0,
        "pids_stats": { "current": now.pids, "limit": now.pids_limit },
        "cpu_stats": render_cpu(now),
        "precpu_stats": render_cpu(before),
        "memory_stats": render_memory(now),
        "blkio_stats": render_blocks(now),
        "storage_stats": {},
    });
    if !now.networks.is_empty() {
        let networks =
            now.networks.iter().map(|(name, counters)| (name.clone(), render_counters(counters)));
        document["networks"] = Value::Object(networks.collect::<Map<_, _>>());
    }
    document
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn render_cpu(stats: &Stats) -> Value {
    let (periods, throttled_periods, throttled) = stats.throttling;
    let mut usage = json!({
        "total_usage": nanos(stats.cpu_total),
        "usage_in_kernelmode": nanos(stats.cpu_kernel),
        "usage_in_usermode": nanos(stats.cpu_user),
    });
    if !stats.cpu_per_processor.is_empty() {
        usage["percpu_usage"] = stats.cpu_per_processor.iter().map(|time| nanos(*time)).collect();
    }
    json!({
        "cpu_usage": usage,
        "system_cpu_usage": nanos(stats.cpu_system),
        "online_cpus": stats.online_cpus,
        "throttling_data": {
            "periods": periods,
            "throttled_periods": throttled_periods,
            "throttled_time": nanos(throttled),
        },
    })
}

fn render_memory(stats: &Stats) -> Value {
    if stats.read_at.is_none() {
        return json!({});
    }
    let mut document = json!({
        "usage": stats.memory_usage_bytes,
        "limit": stats.memory_limit_bytes,
        "stats": stats.memory_stat,
        "failcnt": stats.memory_failures,
    });
    if let Some(bytes) = stats.memory_max_usage_bytes {
        document["max_usage"] = json!(bytes);
    }
    document
}

fn render_blocks(stats: &Stats) -> Value {
    let entries: Vec<Value> = stats
        .block_bytes
        .iter()
        .map(|(major, minor, operation, bytes)| {
            json!({ "major": major, "minor": minor, "op": operation, "value": bytes })
        })
        .collect();
    json!({ "io_service_bytes_recursive": entries, "io_serviced_recursive": null,
        "io_queue_recursive": null, "io_service_time_recursive": null,
        "io_wait_time_recursive": null, "io_merged_recursive": null,
        "io_time_recursive": null, "sectors_recursive": null })
}

fn render_counters(counters: &NetworkCounters) -> Value {
    let NetworkCounters {
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
    } = counters;
    json!({
        "rx_bytes": rx_bytes, "rx_packets": rx_packets,
        "rx_errors": rx_errors, "rx_dropped": rx_dropped,
        "tx_bytes": tx_bytes, "tx_packets": tx_packets,
        "tx_errors": tx_errors, "tx_dropped": tx_dropped,
    })
}
