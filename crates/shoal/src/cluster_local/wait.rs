//! Waiting for what nobody announces.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How long a node may take to answer or to end. Both take under a second on a
/// busy two-core machine; this only bounds the hopeless case.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a condition nobody announces.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits for a condition nobody announces; fails after a minute, naming it.
pub(super) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > PATIENCE {
            bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}
