//! Counts of values by size, for openraft's statistics.
//!
//! openraft records batch sizes with a crate of this name. That crate fills tables for all its
//! sixteen resolutions when the first value is recorded, 25 MB that stay resident, of which
//! openraft uses 2 kB. This one has the calls openraft makes, at the one resolution it uses, and
//! computes what the tables hold. It goes when the other no longer does that: `docs/adr/` says why.

use std::fmt;
use std::marker::PhantomData;

/// Values below this are counted exactly; above, each power of two has so many buckets.
const GROUP: u64 = 4;
/// `log2(GROUP)`.
const GROUP_BITS: u32 = 2;
/// Buckets for all of `u64`: one group of exact values, then one per remaining power of two.
const BUCKETS: usize = (GROUP as usize) * (u64::BITS - GROUP_BITS + 1) as usize;
/// Width of a full bar in a chart, in characters.
const BAR: u64 = 40;

/// How many values of which size were recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: Vec<u64>,
    total: u64,
    slots: PhantomData<T>,
}

impl<T> Histogram<T> {
    /// One without values.
    #[must_use]
    pub fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, slots: PhantomData }
    }

    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value `times` times.
    pub fn record_n(&mut self, value: u64, times: u64) {
        let count = &mut self.counts[bucket(value)];
        *count = count.saturating_add(times);
        self.total = self.total.saturating_add(times);
    }

    /// How many values were recorded.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The smallest value of the bucket below whose end `part` (0 to 1) of all values lie;
    /// 0 without values.
    #[must_use]
    pub fn percentile(&self, part: f64) -> u64 {
        let wanted = (self.total as f64 * part).ceil().max(1.0);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen as f64 >= wanted {
                return least(index);
            }
        }
        0
    }

    /// The percentiles openraft shows.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total,
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.1),
            p50: self.percentile(0.5),
            p90: self.percentile(0.9),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The bucket of a value.
fn bucket(value: u64) -> usize {
    if value < GROUP {
        return value as usize;
    }
    let power = u64::BITS - 1 - value.leading_zeros() - GROUP_BITS;
    let within = (value >> power) & (GROUP - 1);
    (GROUP * u64::from(power + 1) + within) as usize
}

/// The smallest value of a bucket.
fn least(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < GROUP {
        return bucket;
    }
    (GROUP | (bucket % GROUP)) << (bucket / GROUP - 1)
}

/// Percentiles of a [`Histogram`]: the value below which so many per cent lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Each is what its name says.
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p1, p50, p90, p99, .. } = self;
        write!(f, "[samples: {samples}, P1: {p1}, P50: {p50}, P90: {p90}, P99: {p99}]")
    }
}

/// Several histograms as bars of text.
#[derive(Clone, Debug)]
pub struct AsciiChart<T = ()> {
    series: Vec<(String, Histogram<T>)>,
}

impl<T> AsciiChart<T> {
    /// One without histograms.
    #[must_use]
    pub fn new() -> Self {
        Self { series: Vec::new() }
    }

    /// With one more histogram.
    #[must_use]
    #[allow(clippy::should_implement_trait)] // The call's name is given.
    pub fn add(mut self, name: impl Into<String>, histogram: Histogram<T>) -> Self {
        self.series.push((name.into(), histogram));
        self
    }
}

impl<T> Default for AsciiChart<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Display for AsciiChart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, histogram) in &self.series {
            writeln!(f, "{name} ({} values)", histogram.total)?;
            let most = histogram.counts.iter().copied().max().unwrap_or(0).max(1);
            for (index, count) in histogram.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
                let bar = (u128::from(*count) * u128::from(BAR)).div_ceil(u128::from(most));
                writeln!(f, "{:>20} {:#<width$} {count}", least(index), "", width = bar as usize)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_bucket_that_begins_at_or_below_it() {
        let values = (0..5000).chain((0..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power - 1, power, power + power / 3]
        }));
        for value in values.chain([u64::MAX]) {
            let index = bucket(value);
            assert!(index < BUCKETS, "{value}");
            assert!(least(index) <= value, "{value}");
            // A quarter of its size at most is lost.
            assert!(value - least(index) <= value / GROUP, "{value}");
            assert_eq!(bucket(least(index)), index);
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile(0.5), 0);
        histogram.record_n(1, 90);
        histogram.record_n(1024, 10);
        let stats = histogram.percentile_stats();
        assert_eq!((stats.samples, stats.p1, stats.p50, stats.p90), (100, 1, 1, 1));
        assert_eq!((stats.p99, stats.p99_9), (1024, 1024));
    }

    #[test]
    fn a_chart_shows_what_was_counted() {
        let mut histogram = Histogram::<()>::new();
        histogram.record_n(2, 3);
        let chart = AsciiChart::new().add("batches", histogram).to_string();
        assert!(chart.contains("batches (3 values)"), "{chart}");
        assert!(chart.contains(&format!("2 {} 3", "#".repeat(40))), "{chart}");
    }
}
