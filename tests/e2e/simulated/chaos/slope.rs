//! How memory goes with the turns that were served.

/// Samples of memory over turns.
#[derive(Debug, Default)]
pub(crate) struct Slope(Vec<(f64, f64)>);

impl Slope {
    /// So many bytes after so many turns.
    pub(crate) fn push(&mut self, turns: usize, bytes: u64) {
        self.0.push((turns as f64, bytes as f64));
    }

    /// Bytes a turn, by least squares; 0 where the turns do not differ.
    pub(crate) fn bytes_a_turn(&self) -> f64 {
        let count = self.0.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| self.0.iter().map(of).sum::<f64>() / count;
        let (turns, bytes) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let (mut with, mut square) = (0.0, 0.0);
        for sample in &self.0 {
            with += (sample.0 - turns) * (sample.1 - bytes);
            square += (sample.0 - turns).powi(2);
        }
        if square > 0.0 { with / square } else { 0.0 }
    }

    /// By how much the last sample is above the first, in bytes.
    pub(crate) fn grown(&self) -> u64 {
        let ends = self.0.first().zip(self.0.last());
        ends.map_or(0, |(first, last)| (last.1 - first.1).max(0.0) as u64)
    }

    pub(crate) fn samples(&self) -> usize {
        self.0.len()
    }
}

#[test]
fn a_line_has_its_own_slope() {
    let mut slope = Slope::default();
    (0..10).for_each(|turn| slope.push(turn, 1000 + 7 * turn as u64));
    assert!((slope.bytes_a_turn() - 7.0).abs() < 1e-6, "{slope:?}");
}
