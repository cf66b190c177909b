//! When the next cycle is due: absolute deadlines, so that lateness does not add up.

use crate::observe::Spread;
use crate::types::{Duration, Instant};

/// The beat of the loop.
#[derive(Clone, Debug)]
pub struct Schedule {
    cycle: Duration,
    next: Instant,
    lateness: Spread,
}

impl Schedule {
    /// Beats every `cycle` from `start` on.
    #[must_use]
    pub fn new(cycle: Duration, start: Instant) -> Self {
        Self { cycle, next: start + cycle, lateness: Spread::default() }
    }

    /// How late the cycles were.
    #[must_use]
    pub const fn lateness(&self) -> &Spread {
        &self.lateness
    }

    /// When the next cycle is due.
    #[must_use]
    pub const fn next(&self) -> Instant {
        self.next
    }

    /// Changes the length of the cycle from the next one on.
    pub fn set_cycle(&mut self, cycle: Duration) {
        self.cycle = cycle;
    }

    /// If a cycle is due: how many were missed before it. A missed cycle is skipped, never made
    /// up for in a burst.
    pub fn due(&mut self, now: Instant) -> Option<u32> {
        if now < self.next {
            return None;
        }
        let late = now.since(self.next);
        self.lateness.record(late);
        let missed = late.as_nanos() / self.cycle.as_nanos().max(1);
        let missed = u32::try_from(missed).unwrap_or(u32::MAX);
        self.next += self.cycle.saturating_mul(missed.saturating_add(1));
        Some(missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_late_cycle_does_not_shift_the_beat_and_a_missed_one_is_skipped() {
        let mut schedule = Schedule::new(Duration::from_millis(50), ms(0));
        assert_eq!(schedule.due(ms(49)), None);
        assert_eq!(schedule.due(ms(57)), Some(0));
        assert_eq!(schedule.next(), ms(100));
        assert_eq!(schedule.due(ms(272)), Some(3), "100, 150 and 200 are gone; this is that of 250");
        assert_eq!(schedule.next(), ms(300));
        assert_eq!(schedule.due(ms(272)), None);
        assert_eq!(schedule.lateness().longest(), Duration::from_millis(172), "counted from where it was due");
    }
}
