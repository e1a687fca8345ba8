//! Waiting for conditions, never for seconds.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Far more than anything here takes on a busy two-core machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Waits until `condition` gives something.
///
/// # Panics
/// When it does not for [`PATIENCE`], naming what was waited for.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited {} s in vain for {what}", PATIENCE.as_secs());
        thread::sleep(LOOK_AGAIN);
    }
}
