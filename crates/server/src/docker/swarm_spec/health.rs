//! Health checks.

use serde_json::{Value, json};
use shoal_model::swarm::HealthConfig;

use super::super::documents::{HealthDocument, HealthTerms, check_test};
use super::super::error::{ApiError, Result};
use super::{nanos, refused, set, set_list};

/// The check the document asks for.
///
/// # Errors
/// `Invalid` with SwarmKit's texts for a time or number that makes no sense.
pub(super) fn read_health(document: HealthDocument) -> Result<HealthConfig> {
    let of_service = |error: ApiError| refused(format!("ContainerSpec: {}", error.message()));
    let terms = document.into_terms("HealthConfig").map_err(of_service)?;
    let HealthTerms { test, interval, timeout, start_period, start_interval, retries } = terms;
    let test = test.unwrap_or_default();
    check_test(&test).map_err(of_service)?;
    Ok(HealthConfig { test, interval, timeout, retries, start_period, start_interval })
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
