//! Percentiles of many durations.

use std::time::Duration;

/// Durations in microseconds: four bytes each, so that a run of minutes fits into memory.
#[derive(Debug, Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// Adds one; an hour and more is kept as the longest there can be.
    pub fn record(&mut self, took: Duration) {
        self.0
            .push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// Adds one of so many nanoseconds.
    pub fn record_nanos(&mut self, took: u64) {
        self.record(Duration::from_nanos(took));
    }

    /// How many are as long as this or longer.
    pub fn above(&self, millis: f64) -> usize {
        let micros = millis * 1e3;
        self.0
            .iter()
            .filter(|took| f64::from(**took) >= micros)
            .count()
    }

    /// How many were added.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The shortest duration that at least `percent` of all are not longer than (nearest rank), in
    /// milliseconds; 0 where there are none.
    pub fn percentile(&mut self, percent: f64) -> f64 {
        let count = self.0.len();
        if count == 0 {
            return 0.0;
        }
        let rank = (percent / 100.0 * count as f64).ceil() as usize;
        let index = rank.clamp(1, count) - 1;
        let (_, micros, _) = self.0.select_nth_unstable(index);
        f64::from(*micros) / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        for millis in millis {
            latencies.record(Duration::from_millis(millis));
        }
        latencies
    }

    #[test]
    fn a_percentile_is_the_nearest_rank_in_any_order_of_arrival() {
        let mut latencies = of((1..=100).rev());
        for (percent, millis) in [(50.0, 50.0), (99.0, 99.0), (100.0, 100.0), (0.0, 1.0)] {
            assert_eq!(latencies.percentile(percent), millis, "p{percent}");
        }
    }

    #[test]
    fn of_few_values_a_high_percentile_is_the_longest() {
        assert_eq!(of([7]).percentile(50.0), 7.0);
        assert_eq!(of([3, 1, 2]).percentile(99.0), 3.0);
        assert_eq!(of([1, 2]).percentile(50.0), 1.0);
    }

    #[test]
    fn of_nothing_it_is_nothing() {
        assert_eq!(of([]).percentile(99.0), 0.0);
    }

    #[test]
    fn a_microsecond_is_told_apart_and_an_hour_and_more_is_kept_as_the_longest() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_micros(1234));
        assert_eq!(latencies.percentile(50.0), 1.234);
        latencies.record(Duration::from_secs(7200));
        assert_eq!(latencies.percentile(100.0), f64::from(u32::MAX) / 1000.0);
    }
}
