//! Health checks.

use serde_json::{Value, json};
use shoal_model::swarm::HealthConfig;

use super::super::error::{ApiError, Result};
use super::super::wire::{Words, wire};
use super::{duration, nanos, set, set_list};

wire!(
    /// `Healthcheck`, also a container's.
    HealthDocument {
        test: Words = "Test",
        interval: i64 = "Interval",
        timeout: i64 = "Timeout",
        retries: i64 = "Retries",
        start_period: i64 = "StartPeriod",
        start_interval: i64 = "StartInterval",
    }
);

impl HealthDocument {
    /// The check this document asks for.
    pub(crate) fn into_domain(self) -> Result<HealthConfig> {
        let Self { test, interval, timeout, retries, start_period, start_interval } = self;
        Ok(HealthConfig {
            test: test.0,
            interval: duration(interval, "Interval in Healthcheck")?,
            timeout: duration(timeout, "Timeout in Healthcheck")?,
            retries: u32::try_from(retries)
                .map_err(|_| ApiError::invalid("Retries in Healthcheck cannot be negative"))?,
            start_period: duration(start_period, "StartPeriod in Healthcheck")?,
            start_interval: duration(start_interval, "StartInterval in Healthcheck")?,
        })
    }
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
