//! How fast to probe: evenly inside the cycle, never in bursts.

use super::Settings;
use crate::types::{Duration, Instant};

/// Time between probes while every reflector is silent: hammering a dead line makes it worse, but
/// one probe must keep going to see it come back.
const SILENT_INTERVAL: Duration = Duration::from_millis(250);

/// How fast to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Nothing moves on the line: one probe per idle interval.
    Idle,
    /// `probes_per_cycle`.
    Normal,
    /// Every active reflector once per cycle: the line is loaded, or delay rises.
    Full,
}

/// When the next probe is due.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    cycle: Duration,
    normal: u32,
    idle: Duration,
    pace: Pace,
    full: u32,
    next: Instant,
}

impl Pacer {
    /// Normal pace, with the first probe due at once.
    #[must_use]
    pub fn new(settings: &Settings, now: Instant) -> Self {
        let per_cycle = |n: usize| u32::try_from(n).unwrap_or(1).max(1);
        Self {
            cycle: settings.cycle,
            normal: per_cycle(settings.probes_per_cycle),
            idle: settings.idle_interval,
            pace: Pace::Normal,
            full: per_cycle(settings.active),
            next: now,
        }
    }

    /// When the next probe is due.
    #[must_use]
    pub const fn next(&self) -> Instant {
        self.next
    }

    /// Changes the pace, at once.
    pub fn set(&mut self, now: Instant, pace: Pace, active: usize) {
        self.full = u32::try_from(active).unwrap_or(1).max(1);
        if pace != self.pace {
            self.pace = pace;
            self.resume(now);
        }
    }

    /// Silence is over: the next probe need not wait any longer than the pace says.
    pub fn resume(&mut self, now: Instant) {
        self.next = self.next.min(now + self.interval());
    }

    /// Time between two probes.
    #[must_use]
    fn interval(&self) -> Duration {
        match self.pace {
            Pace::Idle => self.idle,
            Pace::Normal => self.cycle / self.normal,
            Pace::Full => self.cycle / self.full.max(self.normal),
        }
    }

    /// Time in which each of `active` reflectors is probed once.
    #[must_use]
    pub fn round(&self, active: usize) -> Duration {
        self.interval() * u32::try_from(active).unwrap_or(1)
    }

    /// Whether a probe is due; if so, the next one is set. What was missed is not made up for.
    pub fn take(&mut self, now: Instant, silent: bool) -> bool {
        if now < self.next {
            return false;
        }
        let interval = if silent { SILENT_INTERVAL.max(self.interval()) } else { self.interval() };
        self.next += interval;
        if self.next <= now {
            self.next = now + interval;
        }
        true
    }
}
