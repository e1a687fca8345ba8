//! How a change of a service is rolled out.

use serde_json::{Value, json};
use shoal_model::swarm::{FailureAction, UpdateConfig, UpdateOrder};

use super::super::error::{ApiError, Result};
use super::super::wire::wire;
use super::{duration, nanos, set};

wire!(
    /// `UpdateConfig` and `RollbackConfig`.
    UpdateDocument {
        parallelism: u64 = "Parallelism",
        delay: i64 = "Delay",
        failure_action: String = "FailureAction",
        monitor: i64 = "Monitor",
        max_failure_ratio: f64 = "MaxFailureRatio",
        order: String = "Order",
    }
);

impl UpdateDocument {
    /// The roll-out this document asks for.
    pub(super) fn into_domain(self) -> Result<UpdateConfig> {
        let Self { parallelism, delay, failure_action, monitor, max_failure_ratio, order } = self;
        if !(0.0..=1.0).contains(&max_failure_ratio) {
            return Err(ApiError::invalid(
                "update-maxfailureratio cannot be less than 0 or bigger than 1",
            ));
        }
        let monitor = duration(monitor, "update-monitor")?;
        #[expect(clippy::cast_possible_truncation, reason = "a ratio between 0 and 1")]
        let max_failure_ratio = max_failure_ratio as f32;
        Ok(UpdateConfig {
            parallelism,
            delay: duration(delay, "update-delay")?,
            failure_action: read_action(&failure_action)?,
            monitor: (!monitor.is_zero()).then_some(monitor),
            max_failure_ratio,
            order: read_order(&order)?,
        })
    }
}

fn read_action(action: &str) -> Result<FailureAction> {
    match action {
        "" | "pause" => Ok(FailureAction::Pause),
        "continue" => Ok(FailureAction::Continue),
        "rollback" => Ok(FailureAction::Rollback),
        other => Err(ApiError::invalid(format!("unrecognized update failure action {other}"))),
    }
}

fn read_order(order: &str) -> Result<UpdateOrder> {
    match order {
        "" | "stop-first" => Ok(UpdateOrder::StopFirst),
        "start-first" => Ok(UpdateOrder::StartFirst),
        other => Err(ApiError::invalid(format!("unrecognized update order {other}"))),
    }
}

/// A roll-out as Docker shows it.
pub(super) fn render_update(config: &UpdateConfig) -> Value {
    let UpdateConfig { parallelism, delay, failure_action, monitor, max_failure_ratio, order } =
        config;
    let mut document = json!({
        "Parallelism": parallelism,
        "FailureAction": failure_action.as_str(),
        "MaxFailureRatio": max_failure_ratio,
        "Order": order.as_str(),
    });
    set(&mut document, "Delay", (!delay.is_zero()).then(|| json!(nanos(*delay))));
    set(&mut document, "Monitor", monitor.map(|monitor| json!(nanos(monitor))));
    document
}
