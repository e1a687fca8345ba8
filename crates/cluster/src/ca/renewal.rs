//! When a node asks for its next certificate.

use shoal_model::Timestamp;

use crate::Rng;

/// A random point between 50 % and 80 % of the certificate's life, so that
/// nodes that joined together do not renew together; at once if that is past.
pub fn renewal_time(
    not_before: Timestamp,
    not_after: Timestamp,
    now: Timestamp,
    rng: &mut Rng,
) -> Timestamp {
    let life = not_after.since(not_before);
    let point = not_before + life.mul_f64(0.5 + 0.3 * rng.fraction());
    point.max(now)
}
