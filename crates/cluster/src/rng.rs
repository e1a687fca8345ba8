//! Chance as data: a small generator the caller seeds.
//!
//! The core draws ids and jitter from it, so that a run can be repeated from
//! its seed. **Not** for secrets: tokens and keys come from the outside.

use shoal_model::{ConfigId, SecretId, ServiceId, SwarmNodeId, TaskId};

/// SplitMix64 (Steele, Lea, Flood 2014): 64 bits of state, no bad seeds.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator whose whole future follows from `seed`.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number in `0..bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product is as good as uniform for bounds far
        // below 2^64, and has no loop.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `[0, 1)`.
    pub fn fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }

    /// A task id.
    pub fn task_id(&mut self) -> TaskId {
        TaskId::from_bytes(self.bytes())
    }

    /// A service id.
    pub fn service_id(&mut self) -> ServiceId {
        ServiceId::from_bytes(self.bytes())
    }

    /// A node id.
    pub fn node_id(&mut self) -> SwarmNodeId {
        SwarmNodeId::from_bytes(self.bytes())
    }

    /// A secret's id.
    pub fn secret_id(&mut self) -> SecretId {
        SecretId::from_bytes(self.bytes())
    }

    /// A config's id.
    pub fn config_id(&mut self) -> ConfigId {
        ConfigId::from_bytes(self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let (mut one, mut other) = (Rng::from_seed(7), Rng::from_seed(7));
        assert_eq!(one.bytes::<17>(), other.bytes::<17>());
        assert_ne!(one.task_id(), Rng::from_seed(8).task_id());
    }

    #[test]
    fn known_values_of_splitmix64() {
        let mut rng = Rng::from_seed(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_every_value() {
        let mut rng = Rng::from_seed(1);
        let mut seen = [false; 7];
        for _ in 0..500 {
            seen[rng.below(7) as usize] = true;
            assert!((0.0..1.0).contains(&rng.fraction()));
        }
        assert_eq!(seen, [true; 7]);
        assert_eq!(rng.below(0), 0);
    }
}
