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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn between_half_and_four_fifths_of_the_life() {
        let start = Timestamp::from_seconds(1_000_000);
        let end = start + Duration::from_secs(1000);
        let mut rng = Rng::from_seed(3);
        for _ in 0..200 {
            let life = renewal_time(start, end, start, &mut rng).since(start).as_secs();
            assert!((500..=800).contains(&life), "{life}");
        }
        assert_eq!(renewal_time(start, end, end, &mut rng), end, "late: at once");
    }
}
