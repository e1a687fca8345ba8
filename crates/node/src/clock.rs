//! The time, as two clocks: one that people read and one that never jumps.

use std::time::{SystemTime, UNIX_EPOCH};

use shoal_model::Timestamp;
use tokio::time::Instant;

/// Both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that agrees with the system's now.
    pub(crate) fn start() -> Self {
        Self { base: wall(), started: Instant::now() }
    }

    /// The system's time: goes into stored objects.
    pub(crate) fn now(&self) -> Timestamp {
        wall()
    }

    /// Time that only ever moves on, whatever happens to the system's clock: for deadlines.
    pub(crate) fn steady(&self) -> Timestamp {
        self.base + self.started.elapsed()
    }

    /// When the steady clock will show this time.
    pub(crate) fn instant(&self, time: Timestamp) -> Instant {
        self.started + time.since(self.base)
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
