//! The machine's clock, for those who may look at it.

use std::time::{SystemTime, UNIX_EPOCH};

use shoal_model::Timestamp;

/// The moment.
pub(crate) fn now() -> Timestamp {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}
