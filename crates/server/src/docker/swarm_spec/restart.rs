//! What happens when a task ends.

use serde_json::{Value, json};
use shoal_model::swarm::{RestartCondition, RestartPolicy};

use super::super::error::{ApiError, Result};
use super::super::wire::wire;
use super::{duration, nanos, set};

wire!(
    /// `RestartPolicy` of a task.
    RestartDocument {
        condition: String = "Condition",
        delay: Option<i64> = "Delay",
        max_attempts: Option<u64> = "MaxAttempts",
        window: Option<i64> = "Window",
    }
);

impl RestartDocument {
    /// The policy this document asks for.
    pub(super) fn into_domain(self) -> Result<RestartPolicy> {
        let Self { condition, delay, max_attempts, window } = self;
        Ok(RestartPolicy {
            condition: read_condition(&condition)?,
            delay: delay.map(|nanos| duration(nanos, "the restart delay")).transpose()?,
            max_attempts: max_attempts.unwrap_or_default(),
            window: window.map(|nanos| duration(nanos, "the restart window")).transpose()?,
        })
    }
}

fn read_condition(condition: &str) -> Result<RestartCondition> {
    match condition {
        "" | "any" => Ok(RestartCondition::Any),
        "on-failure" | "on_failure" => Ok(RestartCondition::OnFailure),
        "none" => Ok(RestartCondition::None),
        other => Err(ApiError::invalid(format!("invalid RestartCondition: {other:?}"))),
    }
}

/// A restart policy as Docker shows it.
pub(super) fn render_restart(policy: &RestartPolicy) -> Value {
    let RestartPolicy { condition, delay, max_attempts, window } = policy;
    let mut document = json!({ "Condition": condition.as_str(), "MaxAttempts": max_attempts });
    set(&mut document, "Delay", delay.map(|delay| json!(nanos(delay))));
    set(&mut document, "Window", window.map(|window| json!(nanos(window))));
    document
}
