//! Figures at one moment, and what is computed from them.

use std::time::Duration;

use prometheus::proto::{Metric, MetricFamily, MetricType};

/// All figures at one moment.
#[derive(Debug)]
pub struct Snapshot(Vec<MetricFamily>);

/// One value and what it is of.
#[derive(Debug)]
pub struct Row<'a> {
    metric: &'a Metric,
    /// The value.
    pub value: f64,
}

impl Row<'_> {
    /// The value as a number of things.
    pub fn count(&self) -> u64 {
        self.value as u64
    }

    /// A label's value; empty when it has none.
    pub fn label(&self, name: &str) -> &str {
        self.metric.get_label().iter().find(|pair| pair.name() == name).map_or("", |pair| pair.value())
    }
}

impl Snapshot {
    pub(super) fn new(families: Vec<MetricFamily>) -> Self {
        Self(families)
    }

    /// For the text format.
    pub fn families(&self) -> &[MetricFamily] {
        &self.0
    }

    fn metrics(&self, name: &str) -> impl Iterator<Item = (&Metric, MetricType)> {
        self.0
            .iter()
            .filter(move |family| family.name() == name)
            .flat_map(|family| family.get_metric().iter().map(|metric| (metric, family.get_field_type())))
    }

    /// Every value of a counter or gauge.
    pub fn rows(&self, name: &str) -> Vec<Row<'_>> {
        self.metrics(name)
            .map(|(metric, kind)| Row {
                metric,
                value: match kind {
                    MetricType::GAUGE => metric.get_gauge().get_value(),
                    _ => metric.get_counter().get_value(),
                },
            })
            .collect()
    }

    /// The value with this label, or of a figure without labels; 0 when nothing was counted.
    pub fn value(&self, name: &str, label: Option<(&str, &str)>) -> f64 {
        let is = |row: &Row<'_>| label.is_none_or(|(name, value)| row.label(name) == value);
        self.rows(name).iter().find(|row| is(row)).map_or(0.0, |row| row.value)
    }

    /// As [`Self::value`], as a number of things.
    pub fn count(&self, name: &str, label: Option<(&str, &str)>) -> u64 {
        self.value(name, label) as u64
    }

    /// A histogram.
    pub fn durations(&self, name: &str) -> Durations {
        let Some((metric, _)) = self.metrics(name).next() else { return Durations::default() };
        let histogram = metric.get_histogram();
        Durations {
            count: histogram.get_sample_count(),
            sum: Duration::try_from_secs_f64(histogram.get_sample_sum()).unwrap_or_default(),
            buckets: histogram
                .get_bucket()
                .iter()
                .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()))
                .collect(),
        }
    }
}

/// Durations as a histogram has them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durations {
    /// How many there were.
    pub count: u64,
    /// All together.
    pub sum: Duration,
    /// Upper bounds in seconds, and how many were not longer.
    pub buckets: Vec<(f64, u64)>,
}

impl Durations {
    /// The duration that a share of them (0 to 1) did not exceed, as Prometheus' `histogram_quantile` estimates it: evenly
    /// spread within a bucket, and the highest bound for what is beyond it. `None` when there was none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let rank = share * self.count as f64;
        let (mut lower, mut before) = (0.0, 0);
        for &(bound, up_to) in self.buckets.iter().filter(|(bound, _)| bound.is_finite()) {
            if up_to as f64 >= rank && up_to > before {
                let within = (rank - before as f64) / (up_to - before) as f64;
                return Some(Duration::from_secs_f64(lower + (bound - lower) * within.clamp(0.0, 1.0)));
            }
            (lower, before) = (bound, up_to);
        }
        Some(Duration::from_secs_f64(lower))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(counts: &[(f64, u64)], count: u64) -> Durations {
        Durations { count, sum: Duration::ZERO, buckets: counts.to_vec() }
    }

    #[test]
    fn a_quantile_lies_evenly_within_its_bucket() {
        let hundred = durations(&[(1.0, 50), (2.0, 90), (4.0, 100)], 100);
        let seconds = |share| hundred.quantile(share).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds(0.25), Some(0.5));
        assert_eq!(seconds(0.5), Some(1.0));
        assert_eq!(seconds(0.7), Some(1.5));
        assert_eq!(seconds(0.95), Some(3.0));
        assert_eq!(seconds(1.0), Some(4.0));
    }

    #[test]
    fn what_is_beyond_the_last_bound_is_told_as_that_bound() {
        assert_eq!(durations(&[(1.0, 1), (2.0, 1)], 10).quantile(0.99), Some(Duration::from_secs(2)));
    }

    #[test]
    fn of_nothing_there_is_no_quantile() {
        assert_eq!(durations(&[(1.0, 0)], 0).quantile(0.5), None);
    }
}
