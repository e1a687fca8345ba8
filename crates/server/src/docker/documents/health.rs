//! Health checks.

use super::super::error::{ApiError, Result};
use super::super::wire::{Words, wire};

wire!(
    /// `Healthcheck` of a container and of a service's tasks; times in nanoseconds.
    HealthDocument {
        test: Option<Words> = "Test",
        interval: i64 = "Interval",
        timeout: i64 = "Timeout",
        start_period: i64 = "StartPeriod",
        start_interval: i64 = "StartInterval",
        retries: i64 = "Retries",
    }
);

impl HealthDocument {
    /// Failures in a row that make a container unhealthy.
    ///
    /// # Errors
    /// `Invalid` for a negative number.
    pub(crate) fn retries(&self) -> Result<u32> {
        u32::try_from(self.retries)
            .map_err(|_| ApiError::invalid("Retries in Healthcheck cannot be negative"))
    }
}
