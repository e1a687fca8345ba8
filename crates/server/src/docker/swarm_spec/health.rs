//! Health checks.

use serde_json::{Value, json};
use shoal_model::swarm::HealthConfig;

use super::super::documents::HealthDocument;
use super::super::error::Result;
use super::{duration, nanos, set, set_list};

/// The check the document asks for.
///
/// # Errors
/// `Invalid` for a negative time or number.
pub(super) fn read_health(document: HealthDocument) -> Result<HealthConfig> {
    let retries = document.retries()?;
    let HealthDocument { test, interval, timeout, start_period, start_interval, retries: _ } =
        document;
    Ok(HealthConfig {
        test: test.unwrap_or_default().0,
        interval: duration(interval, "Interval in Healthcheck")?,
        timeout: duration(timeout, "Timeout in Healthcheck")?,
        retries,
        start_period: duration(start_period, "StartPeriod in Healthcheck")?,
        start_interval: duration(start_interval, "StartInterval in Healthcheck")?,
    })
}

/// A health check as Docker shows it.
pub(super) fn render_health(check: &HealthConfig) -> Value {
    let HealthConfig { test, interval, timeout, retries, start_period, start_interval } = check;
    let mut document = json!({});
    set_list(&mut document, "Test", test.is_empty(), || json!(test));
    let times = [
        ("Interval", interval),
        ("Timeout", timeout),
        ("StartPeriod", start_period),
        ("StartInterval", start_interval),
    ];
    for (key, time) in times {
        set(&mut document, key, (!time.is_zero()).then(|| json!(nanos(*time))));
    }
    set(&mut document, "Retries", (*retries != 0).then(|| json!(retries)));
    document
}
