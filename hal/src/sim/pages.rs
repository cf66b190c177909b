//! Short transfers that come at random, as the pages and pictures that people look at.

use super::rng::Rng;
use crate::units::Duration;

/// Mean of the (exponential) size of one.
const BYTES: f64 = 250_000.0;

/// When the next one begins.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    per_second: f64,
    /// In steps; never, while there are none.
    pub(crate) next: u64,
}

impl Default for Pages {
    fn default() -> Self {
        Self { per_second: 0.0, next: u64::MAX }
    }
}

impl Pages {
    /// So many per second from now on; zero: none.
    pub(crate) fn begin(&mut self, per_second: f64, now: u64, rng: &mut Rng) {
        self.per_second = per_second;
        self.next = self.pause(now, rng);
    }

    /// The size of one that begins now, in bytes.
    pub(crate) fn due(&mut self, now: u64, rng: &mut Rng) -> Option<f64> {
        if now < self.next {
            return None;
        }
        self.next = self.pause(now, rng);
        Some(rng.exponential(Duration::from_secs(1)).as_secs_f64() * BYTES)
    }

    fn pause(&self, now: u64, rng: &mut Rng) -> u64 {
        if self.per_second <= 0.0 {
            return u64::MAX;
        }
        let mean = Duration::from_secs_f64(1.0 / self.per_second);
        now + 1 + u64::try_from(rng.exponential(mean).as_millis()).unwrap_or(u64::MAX / 2)
    }
}
