//! How a process' memory grows: samples, and the slope of the line through them.

use crate::stack::{Binary, Stack};
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One sample.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Of which process; one that was killed has another successor.
    pub process: u32,
    pub at: Duration,
    pub bytes: u64,
    /// Whether nothing was wrong then: what is held for the time of a fault is no growth.
    pub calm: bool,
}

/// The samples of both binaries.
pub struct Memory {
    started: Instant,
    samples: BTreeMap<Binary, Vec<Sample>>,
}

impl Memory {
    /// Starts to count.
    #[allow(clippy::new_without_default, reason = "it takes the time")]
    pub fn new() -> Self {
        Self { started: Instant::now(), samples: BTreeMap::new() }
    }

    /// Takes a sample of each.
    pub fn sample(&mut self, stack: &mut Stack, calm: bool) -> Result<()> {
        let at = self.started.elapsed();
        for binary in Binary::ALL {
            let process = stack.process(binary)?;
            let sample = Sample { process: process.id(), at, bytes: process.resident_bytes()?, calm };
            self.samples.entry(binary).or_default().push(sample);
        }
        Ok(())
    }

    /// A line for each binary: its memory at even distances, and its slope since the warm-up.
    pub fn told(&self, warm_up: Duration) -> String {
        let line = |(binary, samples): (&Binary, &Vec<Sample>)| {
            let step = samples.len().div_ceil(12).max(1);
            let shown: Vec<_> = samples
                .iter()
                .step_by(step)
                .map(|sample| format!("{:.0} s {:.1}", sample.at.as_secs_f64(), mebibytes(sample.bytes)))
                .collect();
            let slope = match slope(samples, warm_up) {
                Some((slope, count, over)) => format!(
                    "slope {slope:+.1} kB/min over {count} calm samples in {:.1} min",
                    over.as_secs_f64() / 60.0
                ),
                None => "no slope: too few calm samples".to_owned(),
            };
            format!("{binary}: RSS in MiB: {}; {slope}", shown.join(", "))
        };
        self.samples.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The slope of a binary in kB per minute, where there are samples enough.
    pub fn slope(&self, binary: Binary, warm_up: Duration) -> Option<f64> {
        slope(self.samples.get(&binary)?, warm_up).map(|(slope, ..)| slope)
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Least squares over the calm samples of the process that is there last, after the warm-up and after its own:
/// kB per minute, the number of samples, and the time between the first and the last of them.
fn slope(samples: &[Sample], warm_up: Duration) -> Option<(f64, usize, Duration)> {
    let last = samples.last()?.process;
    let born = samples.iter().find(|sample| sample.process == last)?.at;
    let kept: Vec<_> = samples
        .iter()
        .filter(|sample| sample.process == last && sample.calm && sample.at >= born + warm_up)
        .collect();
    let count = kept.len() as f64;
    let points = || kept.iter().map(|one| (one.at.as_secs_f64() / 60.0, one.bytes as f64 / 1024.0));
    let (sum_x, sum_y) = points().fold((0.0, 0.0), |(xs, ys), (x, y)| (xs + x, ys + y));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (above, below) = points().fold((0.0, 0.0), |(above, below), (x, y)| {
        (above + (x - mean_x) * (y - mean_y), below + (x - mean_x).powi(2))
    });
    let over = kept.last()?.at - kept.first()?.at;
    (kept.len() >= 3 && below > 0.0).then(|| (above / below, kept.len(), over))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_last_process_in_calm_times_after_its_warm_up() {
        let sample = |process, secs, kilobytes: u64, calm| Sample {
            process,
            at: Duration::from_secs(secs),
            bytes: kilobytes * 1024,
            calm,
        };
        let mut samples = vec![sample(1, 0, 900, true), sample(1, 10, 5, true)];
        // Ten seconds to warm up; then 6 kB a minute, but for what a fault holds.
        samples.extend([sample(2, 20, 10, true), sample(2, 25, 5_000, true)]);
        samples.extend((3..=10).map(|ten| sample(2, ten * 10, 100 + ten, true)));
        samples.push(sample(2, 55, 90_000, false));
        let (slope, count, over) = slope(&samples, Duration::from_secs(10)).unwrap();
        assert!((slope - 6.0).abs() < 1e-6, "{slope}");
        assert_eq!((count, over), (8, Duration::from_secs(70)));
    }
}
