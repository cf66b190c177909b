//! How durations spread: a histogram of fixed size, so that questions such as "did it keep its beat?"
//! have an answer on any machine, at any time, without a profiler.

use crate::types::Duration;

/// Steps per doubling: quantiles are at most an eighth too high.
const STEPS: u32 = 8;

/// Doublings that are told apart: up to 2^26 microseconds, about a minute.
const DOUBLINGS: u32 = 26;

/// Number of bins; below [`STEPS`] microseconds each is one microsecond wide.
const BINS: usize = (STEPS * (DOUBLINGS - 2)) as usize;

/// Durations since the start, sorted into bins.
#[derive(Clone, Debug)]
pub struct Spread {
    bins: [u32; BINS],
    count: u64,
    sum: Duration,
    longest: Duration,
}

impl Default for Spread {
    fn default() -> Self {
        Self { bins: [0; BINS], count: 0, sum: Duration::ZERO, longest: Duration::ZERO }
    }
}

impl Spread {
    /// Books one duration.
    pub fn record(&mut self, late: Duration) {
        let bin = &mut self.bins[bin(late)];
        *bin = bin.saturating_add(1);
        self.count += 1;
        self.sum = self.sum.saturating_add(late);
        self.longest = self.longest.max(late);
    }

    /// How many were booked.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// All together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// All together, by how many there were; zero before the first.
    #[must_use]
    pub fn mean(&self) -> Duration {
        self.sum / u32::try_from(self.count).unwrap_or(u32::MAX).max(1)
    }

    /// How many lasted less than 2^`power` microseconds (`power` 3 to 25).
    #[must_use]
    pub fn below(&self, power: u32) -> u64 {
        let edge = bin(Duration::from_micros(1 << power));
        self.bins[..edge].iter().map(|count| u64::from(*count)).sum()
    }

    /// The duration that `permille` of 1000 did not exceed, rounded up to a bin (an eighth at most);
    /// zero before the first.
    #[must_use]
    pub fn quantile(&self, permille: u32) -> Duration {
        let rank = (self.count * u64::from(permille)).div_ceil(1000).max(1);
        let mut seen = 0;
        for (i, count) in self.bins.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return upper_edge(i).min(self.longest);
            }
        }
        self.longest
    }

    /// The longest one.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        self.longest
    }
}

/// Bin of a duration: whole microseconds below [`STEPS`], then [`STEPS`] bins per doubling.
fn bin(late: Duration) -> usize {
    let us = u32::try_from(late.as_micros()).unwrap_or(u32::MAX);
    let bin = match us.checked_ilog2() {
        Some(octave) if us >= STEPS => {
            let shift = octave - STEPS.ilog2();
            STEPS * (shift + 1) + (us >> shift) - STEPS
        }
        _ => us,
    };
    usize::try_from(bin).unwrap_or(BINS).min(BINS - 1)
}

/// The first duration that is above a bin.
fn upper_edge(bin: usize) -> Duration {
    let next = u64::try_from(bin + 1).unwrap_or(u64::MAX);
    let steps = u64::from(STEPS);
    if next < steps {
        return Duration::from_micros(next);
    }
    let (octave, step) = (next / steps - 1, next % steps);
    Duration::from_micros((steps + step) << octave)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lateness_lies_below_the_edge_of_its_bin_and_not_far() {
        for us in (0..5_000).chain([20_000, 65_535, 65_536, 1_000_000, 59_999_999]) {
            let late = Duration::from_micros(us);
            let edge = upper_edge(bin(late)).as_micros();
            assert!(edge > late.as_micros() && edge <= late.as_micros() * 9 / 8 + 1, "{us}: {edge}");
        }
        assert_eq!(bin(Duration::from_secs(1 << 40)), BINS - 1, "what is off the scale is in the last bin");
    }

    #[test]
    fn quantiles_are_those_of_what_was_booked() {
        let mut lateness = Spread::default();
        assert_eq!((lateness.quantile(500), lateness.longest()), (Duration::ZERO, Duration::ZERO));
        for us in 1..=1000 {
            lateness.record(Duration::from_micros(us));
        }
        let near = |lateness: &Spread, permille: u32, us: u128| {
            let found = lateness.quantile(permille).as_micros();
            assert!((us..=us * 9 / 8).contains(&found), "{permille}: {found}");
        };
        near(&lateness, 500, 500);
        near(&lateness, 990, 990);
        assert_eq!(lateness.quantile(1000), Duration::from_micros(1000));
        lateness.record(Duration::from_secs(90));
        assert_eq!(lateness.longest(), Duration::from_secs(90));
        near(&lateness, 500, 501);
        assert_eq!((lateness.below(3), lateness.below(9), lateness.below(25), lateness.count()), (7, 511, 1000, 1001));
        assert_eq!(lateness.sum(), Duration::from_micros(500_500 + 90_000_000));
        assert_eq!(lateness.mean(), Duration::from_micros(90_500_500) / 1001);
    }
}
